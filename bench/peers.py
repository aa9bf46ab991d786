"""The runtimes beside knit: which of them this machine has, and how their programs are built and started."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import typing

HERE = pathlib.Path(__file__).resolve().parent
CRATES = pathlib.Path("/usr/share/cargo/registry")
GO, CARGO = "/usr/bin/go", "/usr/bin/cargo"


@dataclasses.dataclass(frozen=True)
class Runtime:
    """`needs`: a file that tells whether it is there. `kind`: how its programs are made."""

    key: str
    title: str
    kind: str
    packages: typing.Tuple[str, ...] = ()
    needs: typing.Tuple[str, ...] = ()
    loops_most: int = 1024


RUNTIMES = {runtime.key: runtime for runtime in (
    Runtime("knit", "knit", "knit"),
    Runtime("serial", "serial", "knit", loops_most=1),
    Runtime("uring", "liburing by hand", "knit"),
    Runtime("epoll", "epoll by hand", "knit"),
    Runtime("tbb", "oneTBB", "c++", ("libtbb-dev",), ("/usr/include/oneapi/tbb/task_group.h",)),
    Runtime("asio", "Asio", "c++", ("libasio-dev",), ("/usr/include/asio.hpp",)),
    Runtime("uv", "libuv", "c++", ("libuv1-dev",), ("/usr/include/uv.h",)),
    Runtime("go", "Go", "go", ("golang-go",), (GO,)),
    Runtime("tokio", "tokio", "rust", ("cargo", "librust-tokio-dev", "librust-libc-dev",
                                        "librust-async-channel-dev"),
            (CARGO, f"{CRATES}/tokio-*")),
    Runtime("rayon", "rayon", "rust", ("cargo", "librust-rayon-dev", "librust-libc-dev"), (CARGO, f"{CRATES}/rayon-*")),
    Runtime("asyncio", "asyncio", "python", ("python3",), (), 1),
    Runtime("uvloop", "uvloop", "python", ("python3-uvloop",), ("/usr/lib/python3/dist-packages/uvloop",), 1),
    Runtime("nginx", "nginx", "nginx", ("nginx",), ("/usr/sbin/nginx",)),
)}
TOKIO_FEATURES = ("rt-multi-thread", "net", "io-util", "time", "sync", "signal")
# Crates that one workload needs beside the runtime's own; without it that workload is left out.
MORE_CRATES = {("channel", "tokio"): ("async-channel", "1")}


@dataclasses.dataclass(frozen=True)
class Step:
    """A command that builds programs; `singles`: the same one by one, for when one of them does not build."""

    what: str
    command: typing.Tuple[str, ...]
    environment: dict
    folder: pathlib.Path
    programs: typing.Tuple[pathlib.Path, ...]
    singles: tuple = ()


def is_there(pattern):
    path = pathlib.Path(pattern)
    return any(path.parent.glob(path.name))


def missing(runtime):
    """Why the runtime cannot run here; None if it can."""
    absent = [need for need in runtime.needs if not is_there(need)]
    return f"{' and '.join(runtime.packages)} not installed ({absent[0]} is missing)" if absent else None


def python():
    """Debian's interpreter, which finds Debian's uvloop; elsewhere the one that runs this."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def source(workload, runtime):
    """The file that states the workload for the runtime, whether it exists or not."""
    name = {"go": "go.go", "rust": f"{runtime.key}.rs", "python": "python.py"}.get(runtime.kind, f"{runtime.key}.cpp")
    return HERE / "workloads" / workload / name


def command(build, workload, runtime):
    """What starts the workload's program on the runtime, without options."""
    if runtime.kind == "python":
        words = [python(), source(workload, runtime)]
        return [*words, "--uvloop"] if runtime.key == "uvloop" else words
    if runtime.kind == "go":
        return [build / "peers" / "go" / f"{workload}_go"]
    if runtime.kind == "rust":
        return [build / "peers" / runtime.key / "target" / "release" / f"{workload}_{runtime.key}"]
    return [build / "bench" / f"{workload}_{runtime.key}"]


def go_steps(build, workloads):
    """What builds the Go programs, without any network."""
    output = build / "peers" / "go"
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
                   "GOCACHE": str(output / "cache"), "GO111MODULE": "on"}
    output.mkdir(parents=True, exist_ok=True)
    for workload in workloads:
        program = output / f"{workload}_go"
        yield Step(program.name, (GO, "build", "-o", str(program), f"./workloads/{workload}/go.go"), environment, HERE,
                   (program,))


def rust_manifest(runtime, workloads):
    """A Cargo.toml: the sources stay where they are, crates come from Debian's packages."""
    dependencies = {"tokio": f'tokio = {{ version = "1", features = {list(TOKIO_FEATURES)} }}'.replace("'", '"'),
                    "rayon": 'rayon = "1"'}[runtime.key]
    for workload in workloads:
        name, version = MORE_CRATES.get((workload, runtime.key), ("", ""))
        dependencies += f'\n{name} = "{version}"' if name else ""
    programs = "\n".join(f'[[bin]]\nname = "{workload}_{runtime.key}"\npath = "{source(workload, runtime)}"\n'
                         for workload in workloads)
    return (f'[package]\nname = "peers-{runtime.key}"\nversion = "0.1.0"\nedition = "2021"\nautobins = false\n\n'
            f'[dependencies]\nlibc = "0.2"\n{dependencies}\n\n[profile.release]\nopt-level = 3\npanic = "abort"\n'
            f'codegen-units = 1\n\n{programs}')


def rust_steps(build, runtime, workloads):
    workloads = [workload for workload in workloads if has_crate(workload, runtime)]
    folder = build / "peers" / runtime.key
    folder.mkdir(parents=True, exist_ok=True)
    # It names exact versions, of which an upgrade of the packages leaves none.
    (folder / "Cargo.lock").unlink(missing_ok=True)
    write_if_changed(folder / "Cargo.toml", rust_manifest(runtime, workloads))
    (folder / ".cargo").mkdir(exist_ok=True)
    write_if_changed(folder / ".cargo" / "config.toml",
                     f'[source.crates-io]\nreplace-with = "debian"\n\n[source.debian]\ndirectory = "{CRATES}"\n')
    # Debian's compiler for Debian's crates, not one that a user has in addition.
    environment = {**os.environ, "RUSTC": "/usr/bin/rustc", "CARGO_HOME": str(folder / "home")}
    words = (CARGO, "build", "--release", "--offline", "--quiet")
    made = {workload: command(build, workload, runtime)[0] for workload in workloads}
    singles = tuple(Step(path.name, (*words, "--bin", path.name), environment, folder, (path,)) for path in made.values())
    yield Step(runtime.key, words, environment, folder, tuple(made.values()), singles)


def has_crate(workload, runtime):
    more = MORE_CRATES.get((workload, runtime.key))
    return more is None or is_there(f"{CRATES}/{more[0]}-{more[1]}*")


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def build_steps(build, wanted):
    """What has to run before the programs of `wanted`, pairs of workload and runtime, exist; C++ is left to CMake."""
    by_runtime = {}
    for workload, runtime in wanted:
        by_runtime.setdefault(runtime.key, []).append(workload)
    for key, workloads in by_runtime.items():
        unique = sorted(set(workloads))
        if RUNTIMES[key].kind == "go":
            yield from go_steps(build, unique)
        elif RUNTIMES[key].kind == "rust":
            yield from rust_steps(build, RUNTIMES[key], unique)


def version(runtime):
    """What the report says about the peer's version."""
    if not runtime.packages or shutil.which("dpkg-query") is None:
        return ""
    name = [package for package in runtime.packages if package != "cargo"][0]
    told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return told.stdout.strip()


def versions():
    told = {key: version(runtime) for key, runtime in RUNTIMES.items()}
    return {key: text for key, text in told.items() if text}
