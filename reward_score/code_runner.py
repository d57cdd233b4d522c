"""Runs one program with one input or one test, in a process with limits. ``reward_score.code_tests`` starts it:

    python -I -S code_runner.py < job.json

Two processes, so that a program that kills its parent does not kill the scorer. The supervisor, which is this file,
forks the program, waits for it no longer than allowed, and kills what it leaves behind. Orphans come to the supervisor
(Linux: child subreaper), so that a child that left its process group is found too. On other systems only the process
group is killed, by the scorer.

The job is a JSON object: ``code``, ``input`` (text on standard input), ``test`` (code to run after the program, or
null), ``token`` (sent when the test's last statement has run), ``nonce`` (marks the supervisor's report), ``seconds``
(wall-clock) and ``memory`` (bytes). Standard output gets the line ``started``, then the report as JSON:
``nonce``, ``ended`` (true if the program came to its end by itself, with exit status 0), ``passed`` (true if the token
arrived), ``output`` (its standard output, null if it was too long).

Only the standard library is imported: the interpreter runs without site-packages.
"""

import builtins
import ctypes
import json
import math
import os
import resource
import signal
import sys
import time
import types
from contextlib import suppress

MAX_OUTPUT = 4 * 2**20
MAX_FILE = 16 * 2**20
MAX_OPEN_FILES = 64
# Counted here: RLIMIT_NPROC would count all that the user runs, training included, and does not hold for root.
MAX_PROCESSES = 64

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    with open(0, "rb", closefd=False) as stdin:
        job = json.load(stdin)
    # The job says more than the program may know, and a child can open its parent's files.
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    nonce, seconds = job.pop("nonce"), job["seconds"]
    os.write(1, b"started\n")
    _prctl(PR_SET_CHILD_SUBREAPER, 1)

    given = _unnamed_file(job.pop("input").encode("utf-8", errors="surrogatepass"))
    written = _unnamed_file(b"")
    read_token, write_token = os.pipe()
    program = os.fork()
    if program == 0:
        del nonce
        os.dup2(given, 0)
        os.dup2(written, 1)
        for descriptor in (given, written, read_token):
            os.close(descriptor)
        _limit(job["seconds"], job["memory"])
        _run(job.pop("code"), job.pop("test"), job.pop("token").encode(), write_token)
        return

    os.close(write_token)
    status = _wait(program, time.monotonic() + seconds)
    _kill_descendants()
    output = os.pread(written, MAX_OUTPUT + 1, 0)
    os.set_blocking(read_token, False)
    report = {
        "nonce": nonce,
        "ended": status == 0,
        "passed": _received(read_token) == job["token"].encode(),
        "output": output.decode("utf-8", errors="replace") if len(output) <= MAX_OUTPUT else None,
    }
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(json.dumps(report).encode())


def _run(code: str, test: str | None, token: bytes, write_token: int) -> None:
    """Run the program, then the test in its namespace; then, and only then, send the token."""
    # Taken before the program can replace them.
    run, write = exec, os.write
    builtins.exit = builtins.quit = sys.exit  # site would define them
    # What only runs as a script ("if __name__ == '__main__'") is no part of what a test calls.
    module = types.ModuleType("__main__" if test is None else "solution")
    sys.modules[module.__name__] = module
    sys.argv = ["solution.py"]
    program = compile(code, "solution.py", "exec")
    check = None if test is None else compile(test, "test.py", "exec")
    run(program, module.__dict__)
    if check is not None:
        run(check, module.__dict__)
        write(write_token, token)


def _limit(seconds: float, memory: int) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, math.ceil(seconds) + 1),
        (resource.RLIMIT_FSIZE, MAX_FILE),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _unnamed_file(content: bytes) -> int:
    """Return an open file in the working directory that has no name there."""
    descriptor = os.open("file", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink("file")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _wait(program: int, deadline: float) -> int | None:
    """Return the exit status, negative for a signal; None if the program was too slow or started too many processes."""
    pause = 0.001
    while time.monotonic() < deadline and len(_descendants()) <= MAX_PROCESSES:
        found, status = os.waitpid(program, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(1.5 * pause, 0.02)
    os.kill(program, signal.SIGKILL)
    return None


def _kill_descendants() -> None:
    """Kill and reap until there are none; a program that forks faster is left to the scorer, which kills the group."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        for process in _descendants():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _descendants() -> list[int]:
    found, unseen = [], [os.getpid()]
    while unseen:
        children = _children(unseen.pop())
        found += children
        unseen += children
    return found


def _children(process: int) -> list[int]:
    children = []
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    except OSError:  # ended meanwhile, or a system without /proc
        pass
    return children


def _received(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1000)
    except BlockingIOError:
        return b""


if __name__ == "__main__":
    main()
