"""One launch at a time works on a run: a file lock that the launcher and its trainer hold together."""

import fcntl
import os
import time

from grpo_launchpad.runs.folder import RunFolder

# A trainer that was just killed gives the lock back only after its memory, which may be gigabytes.
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.1


class LockedError(Exception):
    """Another launch works on the run."""


def take_lock(run: RunFolder, wait_seconds: float = WAIT_SECONDS, on_wait=lambda: None) -> int:
    """Return a descriptor that holds the run's lock as long as any process has it open.

    It is inherited by child processes, so that a killed launcher whose trainer lives on still counts as running.

    Args:
        run: its folder; ``launch`` in it is made if need be.
        wait_seconds: how long to wait for another launch to end.
        on_wait: called once before waiting.

    Raises:
        LockedError: if it did not end.
        OSError: if the folder cannot be written.
    """
    deadline = time.monotonic() + wait_seconds
    waiting = False
    descriptor = _open(run)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waiting:
                on_wait()
                waiting = True
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise LockedError from None
            time.sleep(POLL_SECONDS)
            continue
        if _is_the_file(descriptor, run):
            break
        os.close(descriptor)  # of a launch that was refused, and removed its folder with the lock in it
        descriptor = _open(run)
    os.set_inheritable(descriptor, True)
    return descriptor


def _open(run: RunFolder) -> int:
    run.launch.mkdir(parents=True, exist_ok=True)
    return os.open(run.lock, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)


def _is_the_file(descriptor: int, run: RunFolder) -> bool:
    """Say whether the open file is still the one that others will find."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(run.lock))
    except FileNotFoundError:
        return False
