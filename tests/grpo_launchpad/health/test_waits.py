import os
import signal
import subprocess
import sys
import time

import pytest

from grpo_launchpad.health.waits import Wait, _innermost, processes_under, what_they_wait_for

# As Ray does, it names itself; a stopped process cannot answer py-spy, which must not stop the look.
ACTOR = """
import ctypes, sys, time
def wait_for_the_others():
    time.sleep(100)
wait_for_the_others()
"""


def actor(name: str) -> subprocess.Popen:
    process = subprocess.Popen([name, "-c", ACTOR], executable=sys.executable)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.pid not in [each.pid for each in processes_under(os.getpid())]:
        time.sleep(0.05)
    return process


def test_each_actor_says_where_it_is():
    process = actor("ray::WorkerDict.update_actor")
    try:
        deadline = time.monotonic() + 30
        where = ""
        while time.monotonic() < deadline and "wait_for_the_others" not in where:
            (wait,) = [wait for wait in what_they_wait_for(os.getpid()) if wait.pid == process.pid]
            where = " ".join(wait.where)
        assert wait.name == "ray::WorkerDict.update_actor"
        # Where py-spy may not look, the kernel's word is all there is.
        assert "wait_for_the_others" in where or "in the kernel's" in where
    finally:
        process.kill()
        process.wait()


def test_a_stopped_process_comes_first():
    running, stopped = actor("ray::A"), actor("ray::B")
    try:
        os.kill(stopped.pid, signal.SIGSTOP)
        time.sleep(0.2)
        waits = [wait for wait in what_they_wait_for(os.getpid()) if wait.pid in (running.pid, stopped.pid)]
        assert [wait.pid for wait in waits] == [stopped.pid, running.pid]
        assert waits[0].state == "stopped"
        assert "stopped" in str(waits[0])
    finally:
        for process in (running, stopped):
            process.kill()
            process.wait()


def test_other_processes_are_none_of_its_business():
    process = subprocess.Popen(["sleep", "100"])
    try:
        assert process.pid not in [each.pid for each in processes_under(os.getpid())]
    finally:
        process.kill()
        process.wait()


def test_the_thread_that_works_is_shown_and_its_innermost_frames_first():
    def frame(name, filename):
        return {"name": name, "filename": filename, "line": 7}

    idle = {"thread_name": "MainThread", "frames": [frame("main_loop", "/x/ray/_private/worker.py")]}
    work = {
        "thread_name": "t",
        "frames": [frame("all_reduce", "/x/torch/distributed/d.py"), frame("f", "/x/verl/a.py")],
    }
    assert _innermost([idle, work]) == ["all_reduce (/x/torch/distributed/d.py:7)", "f (/x/verl/a.py:7)"]
    assert _innermost([idle]) == ["main_loop (/x/ray/_private/worker.py:7)"]
    assert _innermost([]) == []


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (["Worker.main_loop (/x/site-packages/ray/_private/worker.py:1)"], "waits for a call"),
        (
            ["Worker.get_objects (/x/site-packages/ray/w.py:1)", "sample (/x/site-packages/verl/trainer/r.py:9)"],
            "Worker.get_objects (ray/w.py:1), called from sample (verl/trainer/r.py:9)",
        ),
        (
            ["all_reduce (/x/lib/python3.11/site-packages/torch/distributed/d.py:2)"],
            "all_reduce (torch/distributed/d.py:2)",
        ),
        ([], "nothing known"),
    ],
)
def test_a_process_is_said_in_one_line(where, said):
    assert str(Wait(7, "ray::W", "sleeping", where)) == f"ray::W (pid 7, sleeping): {said}"
