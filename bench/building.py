"""How tools/bench gets its programs: Debian packages, CMake, and the other runtimes' own compilers. What does not build
is left out; only without CMake's own step is there nothing to measure."""
import os
import pathlib
import re
import shutil
import subprocess

import matrix
import peers

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of tools/packages, what only the tests need.
PACKAGES_NOT_NEEDED = ("clang", "llvm", "libclang", "libgtest", "libgmock", "ccache", "spin", "openssl", "curl",
                       "python3-websockets", "libhttp-parser-dev")
CALIBRATION_TARGETS = [words[0] for words in matrix.CALIBRATION.values()]
# tools/ has these, bench/ all others.
TOOLS = ("load", "echo_server", "http_hello")


class BuildError(Exception):
    """A step failed; the text has what it printed."""


def missing_packages(with_peers):
    words = [line.split("#")[0].strip() for line in (ROOT / "tools" / "packages").read_text().splitlines()]
    wanted = [word for word in words if word and not word.startswith(PACKAGES_NOT_NEEDED)]
    if with_peers:
        wanted += sorted({package for runtime in peers.RUNTIMES.values() for package in runtime.packages})
        wanted += ["npm"]  # fetches what draws the plots
    # One "STATUS PACKAGE" line for each that dpkg knows; the others only make it end with 1.
    known = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n", *wanted],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    installed = {line.split()[1] for line in known.splitlines() if line.startswith("installed ")}
    missing = [package for package in wanted if package not in installed]
    # It may have come from its makers. (Debian's crates need Debian's cargo.)
    return [package for package in missing if package != "npm" or shutil.which("npm") is None]


def install_packages(progress, with_peers):
    """Gives what could not be installed, a line each."""
    if shutil.which("dpkg-query") is None:
        progress.show("no Debian system: the packages in tools/packages are taken to be there")
        return []
    missing = missing_packages(with_peers)
    if not missing:
        return []
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    if become_root and shutil.which("sudo") is None:
        return [f"packages are missing and there is no sudo; as root: apt-get install {' '.join(missing)}"]
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    install = [*apt, "install", "-y", "--no-install-recommends"]
    progress.show("installing " + " ".join(missing))
    try:
        run_step(progress, [*apt, "update"], "package lists")
        run_step(progress, [*install, *missing], "installing")
    except BuildError:
        return [text for package in missing for text in install_one(progress, install, package)]
    return []


def install_one(progress, install, package):
    """One that the distribution does not have must not keep the others away."""
    try:
        run_step(progress, [*install, package], f"installing {package}")
    except BuildError as error:
        return [f"package {package}: {reason_of(error)}"]
    return []


def run_step(progress, command, what, environment=None, folder=None):
    """Runs a command and shows its last line meanwhile."""
    lines = []
    words = [str(word) for word in command]
    try:
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", env=environment, cwd=folder) as process:
            for line in process.stdout:
                lines.append(line)
                if progress.is_terminal and line.strip():
                    progress.show(f"{what}: {line.strip()}")
    except OSError as error:
        raise BuildError(f"{words[0]}: {error.strerror}") from None
    if process.returncode != 0:
        raise BuildError(f"{what} failed ({' '.join(words)}):\n{''.join(lines)}")


def reason_of(error):
    """The line that says what was wrong, of all that a compiler printed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines[1:] if re.match(r"(.*[: ])?(error|E|fatal)(\[\w+\])?:", line)]
    return (told or lines)[0 if told else -1][:300]


def program_of(build, target):
    return build / ("tools" if target in TOOLS else "bench") / target


def configure(progress, build):
    # The environment's compilers are CMake's own affair: CC, CXX.
    progress.show("configuring")
    run_step(progress, ["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DKNIT_BUILD_TESTS=OFF", "-DKNIT_BUILD_EXAMPLES=OFF", "-DKNIT_BUILD_BENCH=ON",
                        "-DKNIT_BUILD_TOOLS=ON", "-DKNIT_BUILD_PEERS=ON"], "configuring")


def build_all(progress, build, chosen):
    """Builds what the cases need. Gives the programs that could not be built: {path: why}."""
    configure(progress, build)
    targets = sorted({target for case in chosen for target in case.targets} | set(CALIBRATION_TARGETS))
    broken = {}
    progress.show(f"building {len(targets)} programs")
    try:
        run_step(progress, ["cmake", "--build", build, "--target", *targets, "--", "-k", "0"], "building")
    except BuildError:
        for target in targets:
            build_target(progress, build, target, broken)
    for step in peers.build_steps(build, matrix.programs_of(chosen)):
        build_peer(progress, step, broken)
    return broken


def build_target(progress, build, target, broken):
    try:
        run_step(progress, ["cmake", "--build", build, "--target", target], f"building {target}")
    except BuildError as error:
        broken[program_of(build, target)] = reason_of(error)


def build_peer(progress, step, broken):
    progress.show(f"building {step.what}")
    try:
        run_step(progress, step.command, f"building {step.what}", step.environment, step.folder)
    except BuildError as error:
        for one in step.singles:
            build_peer(progress, one, broken)
        if not step.singles:
            broken.update({program: reason_of(error) for program in step.programs})


def without_broken(chosen, broken, skipped):
    """The cases whose programs are there; for each program that is not, one line goes into `skipped`."""
    kept, told = [], set()
    for case in chosen:
        absent = [path for path in case.programs if path in broken or not path.exists()]
        if not absent:
            kept.append(case)
        for path in absent:
            if path not in told:
                told.add(path)
                skipped.append(f"{path.name}: {broken.get(path, 'was not built')}")
    return kept
