import json
import os
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score import code_tests
from reward_score.code_runner import MAX_FILE, MAX_OUTPUT, MAX_PROCESSES
from reward_score.code_tests import python_block
from reward_score.code_tests import score as score_if_allowed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the supervisor's checks of processes need Linux")

# Time enough for a right program on any machine.
score = partial(score_if_allowed, execute=True, time_limit=100, total_time_limit=500)
SOON = 100  # seconds: far less than a program sleeps that has to be stopped

DOUBLE = {"inputs": ["2\n", "-3\n"], "outputs": ["4\n", "-6\n"]}
ASSERT = {"assert_case": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]}

RIGHT = {"score": 1.0, "acc": 1.0, "format": 1.0}
WRONG = {"score": 0.0, "acc": 0.0, "format": 1.0}
NOTHING = {"score": 0.0, "acc": 0.0, "format": 0.0}


def respond(program: str) -> str:
    return f"<think>Like this: ```python\nraise\n```</think>Here it is.\n```python\n{program}\n```\nIt doubles."


WRITES_EVERYWHERE = """
import os
for fd in range(1, 64):
    try:
        os.write(fd, b"passed")
    except OSError:
        pass
os._exit(0)
"""


@pytest.fixture(autouse=True)
def nothing_stays_behind(tmp_path, monkeypatch):
    """Run each test with a temporary folder of its own, which is empty afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.glob("code_tests_*")) == []


def is_running(process: int) -> bool:
    try:
        return " Z" not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_it_is_off_unless_asked_for():
    for options in ({}, {"execute": False}, {"execute": 1}, {"execute": "yes"}):
        with pytest.raises(ValueError, match="execute=.*set execute=True.*SandboxFusion") as caught:
            score_if_allowed(respond("print(1)"), DOUBLE, **options)
        assert "reward_kwargs" not in str(caught.value)  # scorers know nothing of verl's configuration


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print(int(input()) * 2)", RIGHT),
        ("import sys\nfor line in sys.stdin:\n    print(f'  {int(line) * 2}  \\n')", RIGHT),
        ("def main():\n    print(2 * int(input()))\nif __name__ == '__main__':\n    main()", RIGHT),
        ("print(2 * int(input()))\nexit()", RIGHT),
        ("print(2 * int(input()))\nraise SystemExit", RIGHT),
        (
            "import atexit, sys\natexit.register(lambda: sys.stdout.write(answer))\nanswer = str(2 * int(input()))",
            RIGHT,
        ),
        ("import threading\nthreading.Thread(target=lambda: print(2 * int(input()))).start()", RIGHT),
        ("import os\nos.write(1, str(2 * int(os.read(0, 100))).encode())", RIGHT),
        ("print(4)", {"score": 0.5, "acc": 0.0, "format": 1.0}),
        ("print(4, -6)", WRONG),
        ("print(2 * int(input()))\nprint('done')", WRONG),
        ("print(2 * int(input()))\nexit(1)", WRONG),
        ("print(2 * int(input()))\n1 / 0", WRONG),
        ("print(2 * int(input())", WRONG),
        ("import sys\nprint(2 * int(input()), file=sys.stderr)", WRONG),
        ("pass", WRONG),
    ],
)
def test_inputs_and_outputs(program, expected):
    assert score(respond(program), DOUBLE) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def add(a, b):\n    return a + b", RIGHT),
        ("def add(a, b):\n    return a + b\nif __name__ == '__main__':\n    input()\n    raise SystemExit", RIGHT),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nadd = lambda a, b: P(a + b).x", RIGHT),
        ("def add(a, b):\n    return 3", {"score": 0.5, "acc": 0.0, "format": 1.0}),
        ("def plus(a, b):\n    return a + b", WRONG),
        ("import numpy\nadd = numpy.add", WRONG),  # no site-packages
    ],
)
def test_asserts(program, expected):
    assert score(respond(program), ASSERT) == expected


def test_one_text_of_tests():
    tests = {"test": "def check(f):\n    assert f(1, 2) == 3\n\ncheck(add)\n"}
    assert score(respond("def add(a, b):\n    return a + b"), tests) == RIGHT
    assert score(respond("def add(a, b):\n    return a - b"), tests) == WRONG


def test_all_or_nothing_stops_at_the_first_failure(monkeypatch):
    slow = {"inputs": ["", "", ""], "outputs": ["", "", "x"]}
    assert score(respond(""), slow)["score"] == pytest.approx(2 / 3)
    assert score(respond(""), slow, all_or_nothing=True) == WRONG
    assert score(respond("print(2 * int(input()))"), DOUBLE, all_or_nothing=True) == RIGHT
    made, passes = [], code_tests._passes
    monkeypatch.setattr(code_tests, "_passes", lambda *arguments: made.append(arguments) or passes(*arguments))
    assert score(respond("while True: pass"), DOUBLE, all_or_nothing=True, time_limit=1) == WRONG
    assert len(made) == 1  # of two


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.exit(0)",
        "exit()",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)",
        "print('started')\nprint('{\"ended\": true, \"passed\": true}')",
        "import builtins\nbuiltins.exec = lambda *_: None\nbuiltins.compile = lambda *_: None",
        WRITES_EVERYWHERE,
        "import sys\nsys.excepthook = lambda *_: None\nsys.settrace(None)",
        "import threading\nthreading.Thread(target=lambda: exec('while True: pass')).start()",
        "import atexit, builtins, os\nbuiltins.AssertionError = Warning\natexit.register(os._exit, 0)",
    ],
)
def test_a_program_that_does_not_come_to_the_end_of_the_tests_fails(program):
    assert score(respond(program), {"test": "assert add(1, 2) == 3"}, time_limit=1) == WRONG


def test_a_program_cannot_read_its_job():
    """Neither the test nor the token is in what the supervisor has open."""
    program = """
import os
found = b""
for process in (os.getpid(), os.getppid()):
    for fd in os.listdir(f"/proc/{process}/fd"):
        try:
            file = os.open(f"/proc/{process}/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK)
            found += os.pread(file, 10**6, 0)
        except OSError:
            pass
    found += open(f"/proc/{process}/cmdline", "rb").read() + open(f"/proc/{process}/environ", "rb").read()
assert b"token" not in found and b"FORTY-TWO" not in found
def add(a, b):
    return a + b
"""
    assert score(respond(program), {"test": "assert add(1, 2) == 3  # FORTY-TWO"}) == RIGHT


def test_no_environment_and_an_empty_directory_of_its_own(monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    program = (
        "import os, sys\nprint(sorted(os.environ.keys() - {'LC_CTYPE'}), os.listdir(), sys.argv, sys.flags.isolated)"
    )
    assert score(respond(program), {"inputs": [""], "outputs": ["[] [] ['solution.py'] 1"]}) == RIGHT


@pytest.mark.parametrize(
    "program",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(1000)",
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(1000)",
        "import sys\nsys.stdin.read()\n9**9**9**9",
        "while True:\n    print('x' * 1000)",
        "while True:\n    try:\n        print('x' * 1000, flush=True)\n    except OSError:\n        pass",
    ],
)
def test_a_program_that_does_not_end_is_stopped(program):
    start = time.monotonic()
    assert score(respond(program), {"inputs": ["1"], "outputs": ["1"]}, time_limit=1) == WRONG
    assert time.monotonic() - start < SOON


def test_the_time_of_all_tests_is_limited(monkeypatch):
    now, given = [0.0], []

    def passes(program, test, seconds, memory):
        given.append(seconds)
        now[0] += seconds
        return len(given) == 1

    monkeypatch.setattr(code_tests, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(code_tests, "_passes", passes)
    tests = {"inputs": [""] * 51, "outputs": [""] * 51}
    found = score(respond("pass"), tests, time_limit=0.5, total_time_limit=1.25)
    assert given == [0.5, 0.5, 0.25]
    assert found == {"score": pytest.approx(1 / 51), "acc": 0.0, "format": 1.0}


def test_memory_is_limited():
    tests = {"inputs": [""], "outputs": ["1"]}
    program = "block = bytearray({} * 2**20)\nprint(1)"
    assert score(respond(program.format(2000)), tests) == WRONG
    assert score(respond(program.format(100)), tests) == RIGHT
    assert score(respond(program.format(100)), tests, memory_limit=64) == WRONG


def test_output_and_files_are_limited():
    tests = {"inputs": [""], "outputs": ["x"]}
    program = f"import sys\nsys.stdout.write('x' + ' ' * {MAX_OUTPUT - 1}{{}})"
    assert score(respond(program.format("")), tests) == RIGHT
    assert score(respond(program.format(" + ' '")), tests) == WRONG
    file = "with open('big', 'wb') as file:\n    file.write(bytes({}))\nprint('x')"
    assert score(respond(file.format(MAX_FILE)), tests) == RIGHT
    assert score(respond(file.format(MAX_FILE + 1)), tests) == WRONG
    assert score(respond("files = [open('f', 'w') for _ in range(100)]\nprint('x')"), tests) == WRONG


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGSTOP", "SIGTERM"])
@pytest.mark.parametrize("whom", ["os.kill(os.getppid(), signal.{})", "os.killpg(0, signal.{})"])
def test_a_program_that_signals_its_parent_only_fails(whom, sign):
    program = f"import os, signal, time\n{whom.format(sign)}\ntime.sleep(1000)"
    start = time.monotonic()
    assert score(respond(program), {"test": "pass"}, time_limit=1) == WRONG
    assert time.monotonic() - start < SOON
    assert score(respond("print(2 * int(input()))"), DOUBLE) == RIGHT


@pytest.mark.parametrize("end", ["", "time.sleep(1000)", "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(1000)"])
@pytest.mark.parametrize("leave", ["", "os.setpgid(0, 0)", "os.setsid()"])
def test_children_left_behind_are_killed(tmp_path, leave, end):
    """Also those that left the process group, unless the supervisor is dead too."""
    program = f"""
import os, signal, time
read, write = os.pipe()
if os.fork() == 0:
    {leave}
    if os.fork() == 0:
        with open({str(tmp_path / "child")!r}, "w") as file:
            file.write(str(os.getpid()))
        os.write(write, b"x")
        time.sleep(1000)
    os._exit(0)
os.read(read, 1)
{end}
"""
    for seconds in (1, 10, 100):
        score(respond(program), {"inputs": [""], "outputs": [""]}, time_limit=seconds)
        if (tmp_path / "child").exists() and (tmp_path / "child").read_text():
            break  # else it was stopped before it came so far
    child = int((tmp_path / "child").read_text())
    if leave and "SIGKILL" in end:
        if is_running(child):
            os.kill(child, signal.SIGKILL)  # out of reach, as documented
        return
    deadline = time.monotonic() + SOON
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)


@pytest.mark.parametrize("leave", ["", "os.setsid()"])
def test_a_small_fork_bomb_is_killed(tmp_path, leave):
    program = f"""
import os, time
read, write = os.pipe()
for _ in range({3 * MAX_PROCESSES}):
    if os.fork() == 0:
        {leave}
        with open({str(tmp_path / "children")!r}, "a") as file:
            file.write(f"{{os.getpid()}}\\n")
        os.write(write, b"x")
        time.sleep(1000)
        os._exit(0)
    os.read(read, 1)
time.sleep(1000)
"""
    start = time.monotonic()
    assert score(respond(program), {"test": "pass"}, time_limit=3 * SOON) == WRONG
    assert time.monotonic() - start < 2 * SOON  # too many processes, not too slow
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    assert len(children) > MAX_PROCESSES / 2
    deadline = time.monotonic() + SOON
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, children))


def test_what_a_program_leaves_in_its_directory_is_removed():
    program = "import os\nfor _ in range(1100):\n    os.mkdir('d')\n    os.chdir('d')\nopen('f', 'w').close()\nprint(1)"
    assert score(respond(program), {"inputs": [""], "outputs": ["1"]}) == RIGHT  # see nothing_stays_behind


def test_from_many_threads():
    programs = ["print(2 * int(input()))", "print(0)", "import os\nos.kill(os.getppid(), 9)", "exit(0)"] * 6
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda program: score(respond(program), DOUBLE), programs))
    assert found == [RIGHT, WRONG, WRONG, WRONG] * 6


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    for program in ("print(2 * int(input()))", "import os\nos.kill(os.getppid(), 9)"):
        score(respond(program), DOUBLE)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_interpreter_that_does_not_start_is_an_error_not_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(code_tests, "RUNNER", Path("/nowhere/code_runner.py"))
    with pytest.raises(RuntimeError, match="does not start"):
        score(respond("print(2 * int(input()))"), DOUBLE)


@pytest.mark.parametrize(
    ("response", "program"),
    [
        ("```python\na\n```", "a\n"),
        ("```py\na\n```", "a\n"),
        ("```Python3 title=x\na\n\n b\n```", "a\n\n b\n"),
        ("```\na\n```", "a\n"),
        ("```python\na\n```\n```python\nb\n```", "b\n"),
        ("```python\na\n```\nIt prints\n```\n4\n```", "a\n"),
        ("```python\na\n```\n```bash\nls\n```", "a\n"),
        ("````python\n```\n````", "```\n"),
        ("1. So:\n   ```python\n   if a:\n       b\n   ```", "if a:\n    b\n"),
        ("```python\n```", "\n"),
        ("```python\na\n```\n```python\nb", "a\n"),
        ("```python\na", None),
        ("```bash\nls\n```", None),
        ("a", None),
        ("", None),
    ],
)
def test_the_block_that_is_run(response, program):
    assert python_block(response) == program


@given(st.text(alphabet="`\n py", max_size=60))
def test_any_text_has_a_block_or_none(text):
    block = python_block(text)
    assert block is None or block.endswith("\n")


@pytest.mark.parametrize(
    "response", ["", "print(4)", "<think>```python\nprint(4)\n```", "```python\nprint(4)", "`" * 100_000]
)
def test_no_program(response):
    assert score(response, DOUBLE) == NOTHING


@pytest.mark.parametrize(
    "program", ["\0", "\ud800", "(" * 50_000, "-" * 50_000 + "1", "x = " + "9" * 50_000, "#" * 100_000]
)
def test_hostile_programs(program):
    assert score(respond(program), {"inputs": [""], "outputs": ["1"]}) == WRONG


def test_any_number_of_fences_takes_linear_time(cpu_seconds):
    with cpu_seconds(1):
        assert score("```\n" * 20_000, DOUBLE)["acc"] == 0.0


@pytest.mark.parametrize(
    "truth",
    [
        json.dumps(DOUBLE),
        "\n" + json.dumps(DOUBLE, indent=2),
        {"inputs": ["2", "-3"], "outputs": ["4", "-6"]},
        {"inputs": [["2"], ["-3", ""]], "outputs": [["4"], ["-6"]]},
        {"inputs": numpy.array(["2", "-3"], dtype=object), "outputs": numpy.array(["4", "-6"], dtype=object)},
        {"assert_case": ["assert True"], "inputs": ["5"], "outputs": ["10\r\n"]},
    ],
)
def test_forms_of_the_ground_truth(truth):
    assert score(respond("print(2 * int(input()))"), truth) == RIGHT


def test_text_in_any_script():
    assert score(respond("print(input()[::-1], 'é')"), {"inputs": ["日本\n"], "outputs": ["本日 é"]}) == RIGHT


@pytest.mark.parametrize(
    "truth",
    [
        None,
        "",
        "1",
        [],
        {},
        {"inputs": ["1"]},
        {"inputs": [], "outputs": []},
        {"inputs": ["1"], "outputs": ["1", "2"]},
        {"inputs": [1], "outputs": [1]},
        {"assert_case": []},
        {"test": None},
        {"fn_name": "add", "inputs": ["1"], "outputs": ["1"]},
    ],
)
def test_a_ground_truth_of_another_form_is_refused(truth):
    with pytest.raises(ValueError, match="code tests need .*'inputs'"):
        score(respond("print(1)"), truth)


@pytest.mark.parametrize(
    "option",
    [
        {"time_limit": 0},
        {"time_limit": float("nan")},
        {"time_limit": float("inf")},
        {"time_limit": True},
        {"time_limit": "5"},
        {"total_time_limit": -1},
        {"memory_limit": 0},
        {"memory_limit": 100.5},
        {"memory_limit": None},
        {"all_or_nothing": 1},
    ],
)
def test_an_impossible_option_is_refused(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}="):
        score("", DOUBLE, **option)
