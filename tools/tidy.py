#!/usr/bin/env python3
"""Checks the rules of the house that a script can check: sizes, include direction, the "only" rules, ordering labels.

    tools/tidy.py [ROOT]       checks the tree, prints `file:line: rule: text`, ends with 1 if there is anything to say
    tools/tidy.py --self-test  checks that each rule finds what it is for
"""
import pathlib
import re
import sys

COLUMNS_MAX = 120
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FRIENDS_MAX = 2
LABEL_DISTANCE = 3

FOLDERS = ("core", "io", "tests", "bench", "tools", "docs/examples")
LIBRARY = ("core/", "io/")

# Who may include whom: a file includes its own layer or lower ones. Each file is named by its stem, or whole where header
# and source differ; core first, io above.
LAYERS = (
    ("core/0", "base stack.hpp mutex list error result copyable time options cpu_list metrics.hpp platform log result_slot "
     "start_up_report start_up_report_json"),
    ("core/1", "counters work deque inbox inline_budget timers frame_pool context_state signal_arrivals"),
    ("core/2", "fork_child.hpp signals.hpp signal_claims worker worker_end offers idle driver injector runtime_core runtime_life blocking_pool report "
     "task_core future_core core_ref "
     "waiter sync_waiter future_wait hot_paths fork.hpp"),
    ("core/3", "stack.cpp fork_join.cpp callback blocking_job coro future task task_ref loop promise awaitable context_var "
     "cancel wait_core report.cpp thread_wait await_chain await_cycle"),
    ("core/4", "gather fork_join.hpp as_result wait as_completed shield timeout staggered_race task_group exception_group "
     "async_generator sleep lock event condition semaphore barrier queue sync to_thread executor "
     "to_string join misuse debug dump watchdog guard queue_core queue_items task_group_parts "
     "task_group_end await_cycles call_graph task_snapshot probe dump_signal signals.cpp signal_wait"),
    ("core/5", "fork_child.cpp runtime lifecycle draining.cpp loop_box.hpp run_loop all_tasks runner observe metrics.cpp metrics_text metrics_server core"),
    ("io/0", "byte_range address endpoint fd unix_address"),
    ("io/1", "die doorbell ring"),
    ("io/2", "loop_load op buffer_pool receive.hpp driver io_driver uring_driver epoll_driver epoll_request epoll_set "
     "epoll_ops epoll_blocking descriptor accept connect_op datagram"),
    ("io/3", "buffers socket receive.cpp ancillary unix_descriptor listen tcp connect send_file getaddrinfo unix unix_datagram "
     "udp file resolve signal transfer poll_op hold pipe"
     " byte_stream reader_state stream_reader stream_core stream_life stream_pumps stream_writer"),
    ("io/4", "loop_load.cpp rebalance descriptor_wait acceptor connection connection_end server serve server_state streams process "
     "spawn stdio watch_fd io knit stream_server"),
)
# Libraries of their own on top of io, each in its folder: they stand on what is public of core and io, and on each other
# in this order.
PARTS = ("io/tls", "io/http")
# Core for users' tests, on a driver of its own: it stands on all of core, and nothing on it.
TESTING = "core/testing/"
# What io may include of core besides its public headers.
IO_FOR_PARTS = ("byte_range", "fd")
CORE_FOR_IO = ("base", "mutex", "sync_waiter", "list", "work", "worker", "waiter", "awaitable", "task_core", "future_core", "timers", "driver", "blocking_job")

# (rule, what, where it may stand, what to say). Applies to code, that is: comments and strings are left out.
ONLY = (
    ("liburing", r"#\s*include\s*[<\"]liburing", r"io/src/ring\.(hpp|cpp)$", "only io/src/ring.* includes liburing"),
    ("concurrentqueue", r"#\s*include\s*[<\"]concurrentqueue", r"core/src/injector\.hpp$",
     "only core/src/injector.hpp includes concurrentqueue"),
    ("environment", r"\b(getenv|secure_getenv|environ)\b", r"(core/src/options|core/testing/src/seeds|io/src/spawn|io/http/src/proxy)\.cpp$",
     "only options.cpp, seeds.cpp and, for its proxies, http read the environment, and spawn.cpp hands it on"),
    ("thread-local", r"\bthread_local\b|\b__thread\b", r"core/(include/knit/detail/worker\.hpp|src/worker\.cpp)$",
     "the one thread-local is in worker.hpp"),
    ("syscall", r"\bsyscall\s*\(|\bfutex\b|SYS_futex", r"(core/src/platform|io/src/ring)\.cpp$",
     "only platform.cpp and ring.cpp make raw system calls"),
    ("thread", r"\bstd::j?thread\b(?!::)", r"core/src/(lifecycle|runtime_core|blocking_pool|watchdog|metrics_server)\.(hpp|cpp)$",
     "only lifecycle, blocking_pool, watchdog and metrics_server make threads"),
    ("atomic", r"\bstd::atomic(_ref)?\s*<", r"core/include/knit/detail/base\.hpp$", "say Atomic<T> (base.hpp)"),
    ("macro", r"^\s*#\s*define\b", r"(core/include/knit/detail/base|tests/support/co_test)\.hpp$", "macros are defined in base.hpp and co_test.hpp alone"),
)
BANNED = (
    ("unfinished", r"\b(TODO|FIXME|XXX)\b", "finish it, or say what does not work and why"),
    ("using-namespace", r"^\s*using\s+namespace\s+(?!std::(chrono_|string_|string_view_)?literals)", "no `using namespace`"),
    ("goto", r"^\s*goto\s+\w+\s*;", "no goto"),
    ("tab", r"\t", "spaces, not tabs"),
)
LABEL = re.compile(r"\[([a-z][a-z0-9_]*\.[a-z0-9_]+)\]")


def blank_out(text):
    """The code alone: comments and strings become blanks, so that lines and columns stay."""
    pattern = re.compile(r"//[^\n]*|/\*.*?\*/|R\"\((?:.|\n)*?\)\"|\"(?:\\.|[^\"\\\n])*\"|(?<![\w'])'(?:\\.|[^'\\\n])'", re.S)

    def blank(match):
        found = match.group(0)
        start = text.rfind("\n", 0, match.start()) + 1
        if re.match(r"\s*#\s*include", text[start:match.start()]):
            return found
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


def check_sizes(path, lines, code_lines):
    if len(lines) > FILE_LINES_MAX:
        yield len(lines), "file-size", f"{len(lines)} lines, {FILE_LINES_MAX} are allowed: split it"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield number, "columns", f"{len(line)} columns, {COLUMNS_MAX} are allowed"
    for start, length in functions(code_lines):
        if length > FUNCTION_LINES_MAX:
            yield start, "function-size", f"a function of {length} lines, {FUNCTION_LINES_MAX} are allowed"


def blocks(code_lines):
    """(first line, last line, what stands before the brace) of every block; a heuristic that knows no grammar."""
    opened, head, head_line, in_directive = [], "", 1, False
    for number, line in enumerate(code_lines, 1):
        in_directive = in_directive or line.lstrip().startswith("#")
        if in_directive:
            in_directive = line.endswith("\\")
            continue
        for letter in line:
            if not head.strip():
                head_line = number
            if letter == "{":
                opened.append((head_line, head.strip()))
                head = ""
            elif letter == "}" and opened:
                start, before = opened.pop()
                yield start, number, before
                head = ""
            elif letter == ";":
                head = ""
            else:
                head += letter
        head += " "


def functions(code_lines):
    """A block after `)` and what may follow it is a function's, unless a keyword says otherwise."""
    signature = re.compile(r"\)\s*(const|noexcept(\([^()]*\))?|override|final|mutable|&&?|->[^{]*|requires[^{]*|:[^{]*|\s)*$")
    other = re.compile(r"^(\}?\s*else\b|if\b|for\b|while\b|switch\b|do\b|catch\b|namespace\b|class\b|struct\b|enum\b|union\b)")
    for start, end, before in blocks(code_lines):
        before = re.sub(r"^(public|private|protected)\s*:", "", before).strip()
        if signature.search(before) and not other.match(before):
            yield start, end - start + 1


def check_friends(path, lines, code_lines):
    for start, end, before in blocks(code_lines):
        if not re.search(r"\b(class|struct)\s+(alignas\([^)]*\)\s*|\[\[\w+\]\]\s*)*\w+", before) or "enum" in before:
            continue
        # A friend function with a body is a hidden friend such as operator==: it lets nobody in.
        friends = [number for number in range(start, end + 1)
                   if re.match(r"\s*(template\s*<.*>\s*)?friend\b(?!.*(= default|\{))", code_lines[number - 1])]
        if len(friends) > FRIENDS_MAX:
            yield friends[FRIENDS_MAX], "friends", f"{len(friends)} friends of a class, {FRIENDS_MAX} are allowed"


def check_patterns(path, lines, code_lines):
    for number, code in enumerate(code_lines, 1):
        for rule, pattern, allowed, text in ONLY:
            applies = path.startswith(LIBRARY) or (rule == "macro" and path.startswith("tests/"))
            if applies and re.search(pattern, code) and not re.search(allowed, path):
                yield number, rule, text
        for rule, pattern, text in BANNED:
            if rule == "using-namespace" and not path.endswith(".hpp"):
                continue
            if re.search(pattern, lines[number - 1] if rule in ("unfinished", "tab") else code):
                yield number, rule, text


def layer_of(part, stem):
    for place, (name, stems) in enumerate(LAYERS):
        if name.startswith(part + "/") and stem in stems.split():
            return place
    return None


def check_includes(path, lines, code_lines):
    if not path.startswith(LIBRARY):
        return
    part = path.split("/")[0]
    if path.startswith(TESTING):
        return
    if "/".join(path.split("/")[:2]) in PARTS:
        yield from check_part_includes(path, code_lines)
        return
    own = layer_of(part, pathlib.PurePath(path).name)
    if own is None:
        own = layer_of(part, pathlib.PurePath(path).stem)
    if own is None:
        yield 1, "layer", "not in the table LAYERS of tools/tidy.py: give it a layer"
    for number, code in enumerate(code_lines, 1):
        found = re.match(r"\s*#\s*include\s*[<\"](knit/)?(io/)?(detail/)?(\w+)\.hpp[>\"]", code)
        if not found:
            continue
        public, is_io, is_detail, stem = found.groups()
        if part == "core" and is_io:
            yield number, "layer", "core never includes io"
            continue
        is_core = bool(public) and not is_io or (part == "core")
        if part == "io" and not public and layer_of("io", stem) is None:
            is_core = True
        if part == "io" and stem == "driver" and not public:
            is_core = pathlib.PurePath(path).stem == "io_driver" or path.endswith("io/src/driver.cpp")
        if part == "io" and is_core and (is_detail or not public) and stem not in CORE_FOR_IO:
            yield number, "layer", f"of core's insides io may include {', '.join(CORE_FOR_IO)}, not {stem}"
        other = layer_of("core" if is_core else "io", stem)
        if own is not None and other is not None and other > own:
            yield number, "layer", f"{LAYERS[own][0]} includes {stem} of the higher {LAYERS[other][0]}"


def check_part_includes(path, code_lines):
    own = PARTS.index("/".join(path.split("/")[:2]))
    for number, code in enumerate(code_lines, 1):
        found = re.match(r"\s*#\s*include\s*[<\"]knit/(?:(\w+)/)?(detail/)?(\w+)\.hpp[>\"]", code)
        if not found:
            continue
        folder, is_detail, stem = found.groups()
        other = "io/" + (folder or stem)
        if folder == "detail" and stem not in CORE_FOR_IO or folder == "io" and is_detail and stem not in IO_FOR_PARTS:
            yield number, "layer", f"a part of io stands on what is public, not on {stem}"
        if other in PARTS and PARTS.index(other) > own:
            yield number, "layer", f"{PARTS[own]} includes {stem} of the higher {other}"


def check_orderings(path, lines, code_lines):
    """Every memory order has a label, or a word on why none is needed, within LABEL_DISTANCE lines."""
    if not path.startswith(LIBRARY):
        return
    for number, code in enumerate(code_lines, 1):
        if not re.search(r"\bmemory_order_|\b__ATOMIC_", code):
            continue
        near = lines[max(0, number - 1 - LABEL_DISTANCE):number + LABEL_DISTANCE]
        if re.findall(r"memory_order_\w+|__ATOMIC_\w+", code) in (["memory_order_relaxed"], ["__ATOMIC_RELAXED"]):
            explained = any("//" in line for line in near)
        else:
            explained = any(LABEL.search(line) for line in near if "//" in line) or "atomic_signal_fence" in code
        if not explained and not path.endswith("/base.hpp"):
            yield number, "ordering", "a memory order without a label such as [dq.slot] or a reason nearby"


CHECKS = (check_sizes, check_friends, check_patterns, check_includes, check_orderings)


def check_labels(texts):
    """A label stands at both ends of its ordering, so at least twice."""
    places = {}
    for path, text in texts.items():
        if path.startswith(LIBRARY):
            for number, line in enumerate(text.splitlines(), 1):
                comment = line[line.find("//"):] if "//" in line else ""
                for label in LABEL.findall(comment):
                    places.setdefault(label, []).append((path, number))
    for label, found in sorted(places.items()):
        if len(found) < 2:
            yield *found[0], "label", f"[{label}] stands here alone; an ordering has two ends"


def check(texts):
    """All that is wrong with {path: text}, as (path, line, rule, text)."""
    for path, text in texts.items():
        lines = text.splitlines()
        code_lines = blank_out(text).splitlines()
        for one in CHECKS:
            for number, rule, what in one(path, lines, code_lines):
                yield path, number, rule, what
    yield from check_labels(texts)


def self_test():
    long_body = "void f() {\n" + "    g();\n" * 60 + "}\n"
    cases = (
        ("columns", "core/src/worker.cpp", "//" + "x" * 119),
        ("file-size", "core/src/worker.cpp", "\n" * 401),
        ("function-size", "core/src/worker.cpp", long_body),
        ("friends", "core/src/idle.hpp", "class A {\n" + "".join(f"    friend class B{i};\n" for i in range(3)) + "};\n"),
        ("liburing", "io/src/op.cpp", "#include <liburing.h>"),
        ("concurrentqueue", "core/src/worker.cpp", "#include <concurrentqueue/concurrentqueue.h>"),
        ("environment", "core/src/worker.cpp", 'auto x = std::getenv("A");'),
        ("thread-local", "core/src/task.cpp", "thread_local int x;"),
        ("syscall", "core/src/worker.cpp", "::syscall(1);"),
        ("thread", "core/src/worker.cpp", "std::thread t;"),
        ("atomic", "core/src/worker.cpp", "std::atomic<int> x;"),
        ("macro", "core/src/worker.cpp", "#define X 1"),
        ("unfinished", "core/src/worker.cpp", "// TO" + "DO: later"),
        ("using-namespace", "core/include/knit/task.hpp", "using namespace std;"),
        ("goto", "io/src/op.cpp", "    goto end;"),
        ("tab", "io/src/op.cpp", "\tint x;"),
        ("layer", "core/src/worker.cpp", '#include "knit/io/tcp.hpp"'),
        ("layer", "core/include/knit/detail/worker.hpp", '#include "knit/gather.hpp"'),
        ("layer", "io/src/tcp.cpp", '#include "idle.hpp"'),
        ("layer", "io/include/knit/io/socket.hpp", '#include "knit/io/server.hpp"'),
        ("layer", "core/src/unheard_of.cpp", ""),
        ("layer", "io/tls/src/tls.cpp", '#include "knit/http/server.hpp"'),
        ("layer", "io/http/src/server.cpp", '#include "knit/io/detail/op.hpp"'),
        ("ordering", "core/src/worker.cpp", "x.load(std::memory_order_acquire);  // hm"),
        ("ordering", "core/src/worker.cpp", "x.load(std::memory_order_relaxed);"),
        ("label", "core/src/worker.cpp", "// [a.b] alone"),
    )
    clean = {
        "core/src/worker.cpp": long_body.replace("    g();\n" * 3, "", 1) + "// std::thread, getenv\nauto s = \"thread_local\";\n"
                               "x.load(std::memory_order_acquire);  // [a.b]\ny.store(1, std::memory_order_release);  // [a.b]\n",
        "io/src/tcp.cpp": '#include "knit/io/tcp.hpp"\n#include "knit/task.hpp"\n#include "driver.hpp"\n',
    }
    wrong = [f"the clean case: {found}" for found in check(clean)]
    for rule, path, text in cases:
        found = [fault[2] for fault in check({path: text})]
        if found != [rule]:
            wrong.append(f"{rule} in {text[:40]!r}: found {found}")
    print("\n".join(wrong) or f"{len(cases)} faults found")
    return 1 if wrong else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent)
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.[ch]pp"))]
    faults = sorted(check({str(file.relative_to(root)): file.read_text() for file in files}))
    for path, number, rule, text in faults:
        print(f"{path}:{number}: {rule}: {text}")
    print(f"{len(files)} files, {len(faults)} faults")
    return 1 if faults or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
