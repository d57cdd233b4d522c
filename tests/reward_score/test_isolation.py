import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from reward_score.isolation import IsolatedModule, IsolationError

ROOT = Path(__file__).resolve().parents[2]

CALLS = """
import os, time

def echo(value): return value
def pid(): return os.getpid()
def sleep(seconds): time.sleep(seconds); return "awake"
def write(path): open(path, "w").close(); return "written"
def wait_for(path):
    while not os.path.exists(path): time.sleep(0.01)
    return "there"
def spin():
    while True: pass
def eat():
    hoard = []
    while True: hoard.append(bytearray(10**8))
def fail(): raise KeyError("of its own")
def die(): os.kill(os.getpid(), 9)
def die_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), 9)
    return "lived"
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("with a space")
    (folder / "isolated_calls.py").write_text(CALLS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        module = IsolatedModule("isolated_calls", seconds=2.0, megabytes=200)
        module.call("echo", 0)  # starts the server
        yield module


def test_results_come_back_from_another_process(calls):
    assert calls.call("echo", {"a": [1, "ü", None]}) == {"a": [1, "ü", None]}
    assert calls.call("pid") not in (os.getpid(), calls.call("pid"))


@pytest.mark.parametrize("function", ["spin", "eat", "die", "fail"])
def test_a_call_without_a_result_says_so_and_the_next_one_works(calls, function):
    with pytest.raises(
        IsolationError,
        match={"spin": "no result in 2 s", "eat": "MemoryError", "die": "killed", "fail": "of its own"}[function],
    ):
        calls.call(function)
    assert calls.call("echo", 1) == 1


def test_a_killed_call_is_made_again(calls, tmp_path):
    assert calls.call("die_once", str(tmp_path / "died")) == "lived"


def test_a_killed_server_is_started_again(calls):
    waiting = []
    server = psutil.Process(calls._server[1].pid)
    thread = threading.Thread(target=lambda: waiting.append(calls.call("sleep", 1.0)))
    thread.start()
    while thread.is_alive() and not server.children():  # until the call has its process
        time.sleep(0.01)
    for process in (server, *server.children()):  # in this order: a call is made again once only
        with suppress(psutil.NoSuchProcess):
            process.kill()
    thread.join()
    assert waiting == ["awake"]
    assert calls.call("echo", 2) == 2


def test_the_deadline_starts_with_the_call_and_not_with_the_wait(calls):
    results = []
    cores = len(os.sched_getaffinity(0))
    threads = [threading.Thread(target=lambda: results.append(calls.call("sleep", 0.6))) for _ in range(3 * cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["awake"] * len(threads)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one core a call waits for the one before it")
def test_a_call_does_not_wait_for_the_end_of_others(tmp_path, calls):
    """The first of two ends when the second has been made."""
    path, results = str(tmp_path / "second"), []
    first = threading.Thread(target=lambda: results.append(calls.call("wait_for", path)))
    first.start()
    assert calls.call("write", path) == "written"
    first.join()
    assert results == ["there"]


def test_waiting_costs_cpu_time_only(calls):
    assert calls.call("sleep", 3.0) == "awake"  # the limit is two seconds of CPU time


def test_a_module_that_cannot_be_imported_is_tried_once(monkeypatch):
    module = IsolatedModule("no_such_module", seconds=1.0, megabytes=100)
    starts, start = [], module._start
    monkeypatch.setattr(module, "_start", lambda: starts.append(1) or start())
    for _ in range(2):
        with pytest.raises(IsolationError, match="no_such_module.* ended with an error"):
            module.call("anything")
    assert starts == [1]


def test_after_a_fork_the_child_has_a_server_of_its_own(calls):
    before = calls.call("pid")
    child = os.fork()
    if child == 0:
        os._exit(0 if calls.call("echo", 3) == 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert calls.call("pid") != before


@pytest.mark.parametrize(
    "circumstance",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "files = [open(os.devnull) for _ in range(1100)]",
        "os.chdir(sys.argv[1])",
        "os.close(0), os.close(1)",
    ],
)
def test_circumstances_of_the_caller(tmp_path, circumstance):
    (tmp_path / "select.py").write_text("raise SystemExit('not the standard library')")
    (tmp_path / "reward_score").mkdir()
    script = (
        "import os, resource, signal, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "from reward_score.isolation import IsolatedModule\n"
        f"{circumstance}\n"
        "module = IsolatedModule('json', 1.0, 100)\n"
        "sys.exit([module.call('loads', f'[{i}]') for i in range(3)] != [[0], [1], [2]])\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True, timeout=300)


def test_too_long_arguments_are_refused(calls):
    with pytest.raises(ValueError, match="100000 at most"):
        calls.call("echo", "x" * 200_000)


def test_nothing_is_left_behind_when_the_caller_is_killed(tmp_path):
    script = (
        "import time\n"
        "from reward_score.isolation import IsolatedModule\n"
        "module = IsolatedModule('json', 1.0, 100)\n"
        "print(module.call('loads', '[1]'), flush=True)\n"
        "time.sleep(1000)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert caller.stdout.readline() == "[1]\n"
    servers = psutil.Process(caller.pid).children(recursive=True)
    assert servers
    caller.kill()
    caller.wait()
    _, alive = psutil.wait_procs(servers, timeout=300)
    assert alive == []
