"""Workers by fork: they must be indistinguishable from `python script arguments`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grpo_launchpad.launch.plan import ROOT

SERVER = "from grpo_launchpad.warm_workers import server; server.PRELOAD = ('json',); server.main()"


@pytest.fixture
def server(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)])
    deadline = time.monotonic() + 300
    while not (tmp_path / "python").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.executable = tmp_path / "python"
    yield process
    process.kill()
    process.wait()


def script(tmp_path, text):
    path = tmp_path / "a worker.py"
    path.write_text(text)
    return str(path)


def work(server, *arguments, **options):
    command = [str(server.executable), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def test_a_worker_gets_its_arguments_folder_environment_and_streams(server, tmp_path):
    text = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['COLOUR']); sys.stderr.write('e')"
    path = script(tmp_path, text)
    (tmp_path / "here").mkdir()
    environment = {"COLOUR": "grün", "PATH": os.environ["PATH"]}
    done = work(server, "-u", path, "a b", "--c", cwd=tmp_path / "here", env=environment)
    assert done.stdout.split("\n")[0] == f"['a b', '--c'] {tmp_path / 'here'} grün"
    assert done.stderr == "e"
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('message')", 1),
        ("raise ValueError", 1),
        ("os.kill(os.getpid(), 9)", 137),
    ],
)
def test_the_exit_code_is_the_workers(server, tmp_path, ending, code):
    assert work(server, script(tmp_path, f"import os, sys\n{ending}")).returncode == code


def test_a_signal_to_the_stand_in_reaches_the_worker(server, tmp_path):
    path = script(tmp_path, "import time; print('up', flush=True); time.sleep(1000)")
    client = subprocess.Popen([str(server.executable), path], stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    client.send_signal(signal.SIGTERM)
    assert client.wait(timeout=300) == 128 + signal.SIGTERM


def test_workers_do_not_share_random_numbers(server, tmp_path):
    path = script(tmp_path, "import numpy, random; print(numpy.random.rand(), random.random())")
    first, second = (work(server, path).stdout.split() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_without_a_server_the_stand_in_becomes_python(server, tmp_path):
    server.kill()
    server.wait()
    done = work(server, script(tmp_path, "import sys; print(sys.argv[1:]); sys.exit(5)"), "x")
    assert (done.stdout, done.returncode) == ("['x']\n", 5)


def connections(folder):
    """Return how many clients a server has, those that it has not accepted yet included."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {folder / 'socket'}") for line in lines) - 1  # the server's own


def wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def importing(tmp_path):
    """A server that waits in its imports until there is a file "go", and then fails in them."""
    (tmp_path / "broken_package.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}):\n    time.sleep(0.02)\n"
        "raise ImportError('cannot import name x')\n"
    )
    program = SERVER.replace("'json'", "'broken_package'")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment, stderr=subprocess.PIPE)
    wait_for(lambda: (tmp_path / "python").exists() or process.poll() is not None)
    yield process
    process.kill()
    process.communicate()


def test_a_server_that_fails_in_its_imports_leaves_the_work_to_python(importing, tmp_path):
    path = script(tmp_path, "import os, sys; print(os.getpid(), sys.argv[1:]); sys.exit(5)")
    command = [str(tmp_path / "python"), "-u", path, "a b"]
    before = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    wait_for(lambda: connections(tmp_path) == 2)
    assert [client.poll() for client in before] == [None, None]
    (tmp_path / "go").touch()
    assert importing.wait(timeout=300) == 1
    after = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for client in (*before, after):
        out, _ = client.communicate(timeout=300)
        assert (out, client.returncode) == (f"{client.pid} ['a b']\n", 5)  # the stand-in itself became the worker


def test_a_server_that_is_killed_before_it_forks_leaves_the_work_to_python(server, tmp_path):
    server.send_signal(signal.SIGSTOP)
    path = script(tmp_path, "print('worked')")
    client = subprocess.Popen([str(server.executable), path], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: connections(tmp_path) == 1)
    server.kill()
    assert client.communicate(timeout=300)[0] == "worked\n"
    assert client.returncode == 0


def test_a_server_that_is_killed_behind_its_back_is_a_failure_of_the_worker(server, tmp_path):
    """The worker was forked: running it a second time would do its work twice."""
    path = script(tmp_path, "import time; print('up', flush=True); time.sleep(1000)")
    client = subprocess.Popen([str(server.executable), path], stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    worker = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())
    server.kill()
    assert client.wait(timeout=300) == 1
    os.kill(worker, signal.SIGKILL)
    client.stdout.close()


def test_the_server_ends_with_the_process_that_started_it(tmp_path):
    starter = f"""
import pathlib, subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", {SERVER!r}, {str(tmp_path)!r}]).pid)
while not pathlib.Path({str(tmp_path / "python")!r}).exists():
    time.sleep(0.1)
"""
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, timeout=300, check=True)
    deadline = time.monotonic() + 300
    while os.path.exists(f"/proc/{done.stdout.strip()}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{done.stdout.strip()}")


def test_a_process_that_multiprocessing_spawns_is_forked_too(server, tmp_path):
    """vLLM spawns its engine and its workers; each would import PyTorch and vLLM anew."""
    text = """
import json, multiprocessing, os, sys
def answer(connection):
    json.loads("[]")
    connection.send((os.getppid(), connection.recv()))
    sys.exit(7)
if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=answer, args=(theirs,))
    process.start()
    ours.send("question")
    print(*ours.recv())
    process.join()
    print(process.exitcode)
"""
    done = work(server, script(tmp_path, text))
    assert done.stdout.split() == [str(server.pid), "question", "7"], done.stderr


def test_open_files_keep_their_numbers(server, tmp_path):
    """However many they are, and whatever the server itself has open."""
    path = script(tmp_path, "import os, sys; print([os.read(int(fd), 9).decode() for fd in sys.argv[1:]])")
    pipes = [os.pipe() for _ in range(100)]
    for number, (_, end) in enumerate(pipes):
        os.write(end, str(number).encode())
    ends = [end for end, _ in pipes]
    done = work(server, path, *map(str, ends), pass_fds=ends)
    for pair in pipes:
        for end in pair:
            os.close(end)
    assert done.stdout == f"{[str(number) for number in range(100)]}\n", done.stderr


def test_a_stand_in_that_is_killed_takes_the_worker_with_it(server, tmp_path):
    path = script(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(1000)")
    client = subprocess.Popen([str(server.executable), path], stdout=subprocess.PIPE, text=True)
    worker = client.stdout.readline().strip()
    client.kill()
    client.wait()
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"))
    client.stdout.close()
    assert work(server, script(tmp_path, "print('next')")).stdout == "next\n"


def test_what_the_server_imported_costs_its_workers_no_garbage_collection(server, tmp_path):
    path = script(tmp_path, "import gc; print(gc.isenabled(), gc.get_freeze_count() > len(gc.get_objects()))")
    assert work(server, path).stdout.split() == ["True", "True"]
