"""Workers by fork: they must be indistinguishable from `python script arguments`."""

import os
import signal
import subprocess
import sys
import time

import pytest

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
