"""One launch at a time: a lock that real processes hold, wait for, and lose when they are killed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import LockedError, take_lock

# Holds the lock; with "child", in a process of its own that outlives it, as a trainer may.
HOLDER = """
import subprocess, sys
from pathlib import Path
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import take_lock
lock = take_lock(RunFolder(Path(sys.argv[1])), wait_seconds=0)
pid = 0
if sys.argv[2:] == ["child"]:
    pid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], pass_fds=(lock,)).pid
print(pid, flush=True)
sys.stdin.read()
"""
ASKING = """
import sys
from pathlib import Path
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.lock import LockedError, take_lock
try:
    take_lock(RunFolder(Path(sys.argv[1])), wait_seconds=0)
    print("free")
except LockedError:
    print("held")
"""


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "runs" / "a run")


@pytest.fixture
def start(run):
    """Starts a process that holds the run's lock; returns it and its child's id."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-c", HOLDER, run.path, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def state(run):
    done = subprocess.run([sys.executable, "-c", ASKING, run.path], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_folder_is_made_and_the_lock_is_the_callers(run):
    lock = take_lock(run, wait_seconds=0)
    assert run.lock.is_file()
    assert state(run) == "held"
    os.close(lock)
    assert state(run) == "free"


def test_a_lock_that_another_process_holds_is_refused(run, start):
    start()
    asked = []
    with pytest.raises(LockedError):
        take_lock(run, wait_seconds=0, on_wait=lambda: asked.append("wait"))
    assert asked == ["wait"]


def test_the_lock_is_free_once_its_holder_is_killed(run, start):
    holder, _ = start()
    holder.kill()
    assert holder.wait(timeout=300) == -signal.SIGKILL
    assert state(run) == "free"


def test_a_launch_waits_for_the_other_to_end(run, start):
    holder, _ = start()
    lock = take_lock(run, wait_seconds=300, on_wait=holder.kill)  # had it not waited, it would have been refused
    assert state(run) == "held"
    os.close(lock)


def test_a_trainer_that_outlives_its_launcher_still_holds_the_lock(run, start):
    holder, child = start("child")
    holder.kill()
    holder.wait(timeout=300)
    try:
        assert state(run) == "held"
    finally:
        os.kill(child, signal.SIGKILL)
    lock = take_lock(run, wait_seconds=300)  # for a while after the kill, the child is still going down
    os.close(lock)


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(run, start):
    """A launch that is refused removes its folder, while another may wait for the lock in it."""
    holder, _ = start()

    def refused():
        shutil.rmtree(run.path)
        holder.kill()

    lock = take_lock(run, wait_seconds=300, on_wait=refused)
    assert run.lock.is_file()
    assert state(run) == "held"
    os.close(lock)


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory") as caught:
        take_lock(RunFolder(tmp_path / "file" / "run"))
    assert Path(caught.value.filename).is_relative_to(tmp_path / "file")
