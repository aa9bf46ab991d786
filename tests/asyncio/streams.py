"""StreamReader standing alone: what it gives, when it waits, and in which order."""
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader

from support import *


@program
async def reads_what_is_there():  # STREAM-01 .. 04
    r = StreamReader()
    r.feed_data(b"abc")
    log(len(await r.read(0)), (await r.read(2)).decode(), (await r.read(5)).decode())
    t = create_task(r.read(-1))
    await tick()
    r.feed_data(b"chunk1 ")
    r.feed_data(b"chunk2")
    await tick(2)
    log(t.done())
    r.feed_eof()
    log((await t).decode(), r.at_eof())


@program
async def lines_and_their_limit():  # STREAM-05 .. 07
    r = StreamReader(limit=7)
    r.feed_data(b"1234567\n12345678\nnext\n")
    log(len(await r.readline()))
    log(await got_message(r.readline()))
    log(len(await r.readline()))
    r.feed_data(b"12345678x")
    log(await got_message(r.readline()))
    r.feed_data(b"end")
    r.feed_eof()
    log((await r.readline()).decode(), len(await r.readline()))


@program
async def reads_until_a_separator():  # STREAM-08 .. 11
    r = StreamReader(limit=8)
    t = create_task(r.readuntil(b"AB"))
    for piece in (b"xA", b"A", b"BA", b"rest"):
        await tick(2)
        log(t.done())
        r.feed_data(piece)
    log((await t).decode())
    left = create_task(r.readuntil(b"B"))
    r.feed_data(b"more")
    try:
        await left
    except LimitOverrunError as e:
        log("overrun", e.consumed)


@program
async def ends_before_a_separator():  # STREAM-09
    r = StreamReader()
    r.feed_data(b"some dataAA")
    r.feed_eof()
    try:
        await r.readuntil(b"AAA")
    except IncompleteReadError as e:
        log(e.partial.decode(), e.expected, str(e))
    log(await got_message(r.readuntil(b"")))
    log(await got_message(r.readexactly(-1)))
    try:
        await r.readexactly(2)
    except IncompleteReadError as e:
        log(str(e), e.expected)


@program
async def a_separator_beyond_the_limit_leaves_the_bytes():  # STREAM-10
    r = StreamReader(limit=3)
    for data in (b"some dataAAA", b"some dataAA"):
        r.feed_data(data)
        try:
            await r.readuntil(b"AAA")
        except LimitOverrunError as e:
            log(e.consumed, str(e))
        log((await r.read(100)).decode())


@program
async def a_second_reader_is_refused():  # STREAM-18
    r = StreamReader()
    t = create_task(r.read(5))
    await tick()
    log(await got_message(r.read(1)))
    log(await got_message(r.readline()))
    log(await got_message(r.readexactly(3)))
    r.feed_data(b"ok")
    log((await t).decode())


@program
async def an_error_ends_all_reads():  # STREAM-17
    r = StreamReader()
    r.feed_data(b"part")
    t = create_task(r.readline())
    await tick()
    r.set_exception(Err("reset"))
    log(await got_message(t), await got(r.read(1)), r.exception())


@program
async def a_timeout_loses_nothing():  # STREAM-19
    r = StreamReader()
    r.feed_data(b"ab")
    log(await got(wait_for(r.readexactly(4), 0.002)))
    r.feed_data(b"cd|")
    log((await r.readuntil(b"|")).decode())


class Transport:
    def pause_reading(self):
        log("pause")

    def resume_reading(self):
        log("resume")


@program
async def feeding_is_paused_and_resumed():  # STREAM-21
    r = StreamReader(limit=4)
    r.set_transport(Transport())
    r.feed_data(b"x" * 8)
    log("8 buffered")
    r.feed_data(b"x")
    await r.read(4)
    log("5 left")
    await r.read(1)
    r.feed_data(b"x" * 6)
    t = create_task(r.readexactly(12))
    await tick()
    r.feed_data(b"xx")
    log(len(await t))


@program
async def wakes_in_the_turn_after_the_feeding():
    r = StreamReader()

    async def reader():
        log("got", (await r.read(10)).decode())

    t = create_task(reader())
    await tick()
    loop().call_soon(log, "before")
    r.feed_data(b"a")
    loop().call_soon(log, "after")
    r.feed_data(b"b")
    await t
