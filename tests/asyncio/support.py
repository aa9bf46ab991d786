"""What the Python side of each pair uses: `from support import *`. The names are those of program.hpp."""
import asyncio
import concurrent.futures
import contextvars
import functools
import gc

import virtual_loop
from virtual_loop import all_tasks, run  # before anything of asyncio's: some of that is replaced
from asyncio import (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED, Barrier, BoundedSemaphore, BrokenBarrierError,
                     CancelledError, Condition, Event, InvalidStateError, Lock, LifoQueue, PriorityQueue, Queue,
                     QueueEmpty, QueueFull, Semaphore, TaskGroup, as_completed, create_task, current_task, gather,
                     shield, sleep, timeout, timeout_at, to_thread, wait, wait_for)


FOREVER = 3_600_000
TRACE = []
SEEDS = range(1, 201)


class Err(Exception):
    pass


class Err2(Exception):
    pass


class BaseErr(BaseException):
    pass


def show(value):
    if isinstance(value, BaseException):
        return error_text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def log(*values):
    """One line of the trace."""
    TRACE.append(" ".join(show(value) for value in values))


def seeds():
    """The seeds that programs with random choices take."""
    return SEEDS


def error_text(error, with_message=False):
    if isinstance(error, BaseExceptionGroup):
        return f"!{type(error).__name__}[{', '.join(error_text(item, with_message) for item in error.exceptions)}]"
    message = str(error.args[0]) if error.args and error.args[0] is not None else ""
    return f"!{type(error).__name__}" + (f"({message})" if with_message else "")


def call(function, *arguments):
    try:
        return function(*arguments)
    except BaseException as error:
        return error_text(error)


def call_message(function, *arguments):
    try:
        return function(*arguments)
    except BaseException as error:
        return error_text(error, True)


async def got(awaitable):
    try:
        return await awaitable
    except BaseException as error:
        return error_text(error)


async def got_message(awaitable):
    try:
        return await awaitable
    except BaseException as error:
        return error_text(error, True)


async def tick(count=1):
    for _ in range(count):
        await sleep(0)


async def turns_until_done(task):
    count = 0
    while not task.done():
        await sleep(0)
        count += 1
    return count


def loop():
    return asyncio.get_running_loop()


def fut():
    return loop().create_future()


def me():
    return current_task()


def new_runner():
    return asyncio.Runner(loop_factory=virtual_loop.VirtualLoop)


def thread_pool(threads):
    return concurrent.futures.ThreadPoolExecutor(threads)


def set_eager_start(on):
    loop().starts_eagerly = on


def now():
    """Milliseconds since the loop was made."""
    return loop().time()


def on_error():
    """Shows the calling loop's reports in the trace."""

    def handler(_, context):
        message = context["message"].replace("asyncio.run()", "run()")
        if message.startswith("Exception in callback"):
            message = "Exception in callback"
        log("handler:", message)

    loop().set_exception_handler(handler)


def program(function=None, *, since=(3, 0), expected=None):
    """Marks one side of a pair. `since`: the behaviour is newer than some Pythons in use. `expected`: the trace of
    CPython 3.13; where the interpreter is older than `since` it stands in, a newer one is checked against it."""
    if function is None:
        return functools.partial(program, since=since, expected=expected)
    function.is_program = True
    function.since = since
    function.expected = expected
    return function


class Random:
    """The generator of program.hpp."""

    def __init__(self, seed):
        self.state = seed * 2654435761 + 12345

    def __call__(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % bound
