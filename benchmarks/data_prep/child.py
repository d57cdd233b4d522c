"""Programs run as child processes, with their time and memory."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
EVERY = 0.05  # seconds between two looks at the process tree


class Usage(NamedTuple):
    """What a program took: seconds of wall time from its start to its end, and bytes of memory at their peaks.

    ``cpu_seconds`` and ``largest``, the memory of the largest process, are the kernel's figures for the program and the
    children it waited for. The others are sums over the whole process tree, looked at every EVERY seconds (0 if that
    was not asked for). What processes share counts once for each of them in ``rss``, once in ``pss``, and not at all in
    ``uss``; the last two are a bit smaller while other programs have the same libraries open.
    """

    seconds: float
    cpu_seconds: float
    largest: int
    rss: int = 0
    pss: int = 0
    uss: int = 0


class Failure(Exception):
    """The program did not end with exit code 0; the text has its last output."""


class TreePeak:
    """The peak memory of this program's child process and all of its descendants, while in the ``with`` block."""

    def __init__(self, pid: int):
        self.peaks = (0, 0, 0)  # RSS, PSS, USS
        self._root = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "TreePeak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            sums = [0, 0, 0]
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in (self._root, *self._root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                        memory = process.memory_full_info()
                        sums = list(map(sum, zip(sums, (memory.rss, memory.pss, memory.uss), strict=True)))
            self.peaks = tuple(map(max, self.peaks, sums))


def measure(command: Sequence[object], *, tree: bool = False, variables: Mapping[str, object] | None = None) -> Usage:
    """Run Python with these arguments from the repository root, and return what it took.

    The kernel counts this process's own memory at the start of a child as the child's, so keep it smaller than that.

    Args:
        tree: whether to watch the whole process tree.
        variables: added to this process's environment.

    Raises:
        Failure: if it fails.
    """
    environment = {**os.environ, **{name: str(value) for name, value in (variables or {}).items()}}
    arguments = [sys.executable, *map(str, command)]
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            with TreePeak(process.pid) if tree else contextlib.nullcontext() as peak:
                _, status, used = os.wait4(process.pid, 0)
                seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 0:
            output.seek(0)
            raise Failure(f"{' '.join(arguments)}: exit code {process.returncode}\n{output.read()[-2000:]}")
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, *(peak.peaks if peak else ()))
