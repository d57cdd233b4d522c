"""Code by test cases: run the response's program, and pay for the share of tests that it passes. Off by default.

The program is the last closed fenced block marked ``python`` after the thoughts, else the last unmarked one. Each test
is a process of its own in an empty directory of its own, with no environment, without site-packages, and with limits:
wall-clock time, CPU time, memory (address space), size of a file (16 MiB), open files (64), processes (64), output (4
MiB). When a test ends, everything that it started is killed.

**This is resource isolation, not a security sandbox.** The program runs as the user of the training, can read and write
that user's files, use the network, and send signals to that user's processes. Use it for models and data that you trust
that far; for others there is SandboxFusion, verl's ``verl/utils/reward_score/sandbox_fusion``.

Two kinds of tests, in the forms of APPS, TACO and verl's ``prime_code``:

- inputs and outputs: the program reads an input from standard input and must end with exit status 0. Outputs are
  compared line by line, word by word; blank lines and the amount of whitespace do not matter, numbers are compared as
  text. The expected output is not known to the process.
- asserts: statements that run after the program, in its namespace, each in a fresh process. What the program has under
  ``if __name__ == "__main__"`` does not run.

Policies:

- An assert has passed when the process sends, after the last statement, a token that was drawn for this run. A program
  that ends before it (``sys.exit(0)``, ``os._exit(0)``) or prints what looks like success has failed. A program that
  inspects the interpreter's frames or overloads ``==`` can still cheat an assert, since it shares a process with it;
  inputs and outputs have no such hole.
- The time of all tests together is limited as well. Tests that are not reached have failed.
- A program that is too slow fails the test; a test that could not be run at all is an error, not a wrong answer.
"""

import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reward_score.extraction import answer_region
from reward_score.ground_truth import opened

RUNNER = Path(__file__).with_name("code_runner.py")
# Seconds for the interpreter to start on a busy machine, for the supervisor to clean up and report, and for the removal
# of the files that a program wrote.
START_LIMIT = 10.0
REPORT_LIMIT = 3.0
REMOVE_LIMIT = 10.0
# MiB that the interpreter itself needs.
MIN_MEMORY = 64
# The longest report: an output of 4 MiB, escaped.
MAX_REPORT = 32 * 2**20

_PYTHON = ("python", "python3", "py")


class _Test(NamedTuple):
    """An input with the output that is wanted, or code to run after the program."""

    given: str = ""
    wanted: str = ""
    code: str | None = None


def score(
    solution_str: str,
    ground_truth: object,
    *,
    execute: bool = False,
    all_or_nothing: bool = False,
    time_limit: float = 5.0,
    total_time_limit: float = 30.0,
    memory_limit: int = 1024,
) -> dict[str, float]:
    """Score one response. Works from any thread.

    Args:
        solution_str: the decoded response.
        ground_truth: ``{"inputs": texts, "outputs": texts}``, ``{"assert_case": statements}`` or ``{"test": code}``,
            also as JSON text. An input or output may be a list of lines.
        execute: must be true, which says that code written by a model may be run here, see the module's text.
        all_or_nothing: pay 1.0 for all tests, 0.0 for less; stops at the first test that fails.
        time_limit: wall-clock seconds for one test.
        total_time_limit: wall-clock seconds for all tests of one response.
        memory_limit: MiB of address space for each process of a test.

    Returns:
        ``acc``: 1.0 if all tests pass, else 0.0.
        ``format``: 1.0 if the response has a program, else 0.0.
        ``score``: passed tests / tests, or acc with all_or_nothing.

    Raises:
        ValueError: if execute is not true, a limit is no positive number, or the ground truth has another form.
        RuntimeError: if no process could be started for a test.
    """
    _check_options(execute, all_or_nothing, time_limit, total_time_limit, memory_limit)
    tests = _tests(ground_truth)
    program = python_block(answer_region(solution_str) or "")
    if program is None:
        return {"score": 0.0, "acc": 0.0, "format": 0.0}
    passed = 0
    deadline = time.monotonic() + total_time_limit
    for test in tests:
        seconds = min(time_limit, deadline - time.monotonic())
        if seconds > 0 and _passes(program, test, seconds, memory_limit * 2**20):
            passed += 1
        elif seconds <= 0 or all_or_nothing:
            break
    acc = float(passed == len(tests))
    return {"score": acc if all_or_nothing else passed / len(tests), "acc": acc, "format": 1.0}


def python_block(text: str) -> str | None:
    """Return the content of the last closed fenced block marked as Python, else of the last unmarked one, or None."""
    found: dict[bool, str] = {}
    fence = indent = info = ""
    lines: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        ticks = stripped[: len(stripped) - len(stripped.lstrip("`"))]
        if not fence:
            if len(ticks) >= 3:
                fence, info, lines = ticks, stripped[len(ticks) :].strip().lower(), []
                indent = line[: len(line) - len(line.lstrip())]
        elif stripped == ticks and len(ticks) >= len(fence):
            language = info.split()[0] if info else ""
            if not language or language in _PYTHON:
                found[bool(language)] = "\n".join(lines) + "\n"
            fence = ""
        else:
            lines.append(line.removeprefix(indent))
    return found.get(True, found.get(False))


def _check_options(
    execute: bool, all_or_nothing: bool, time_limit: float, total_time_limit: float, memory_limit: int
) -> None:
    if execute is not True:
        raise ValueError(
            f"execute={execute!r}: scoring by tests runs code that the model wrote, with the rights of this user, "
            "within limits of time and memory but not in a sandbox. If that is acceptable here, set execute=True (how: "
            "docs/en/rewards.md); if not, use verl's SandboxFusion."
        )
    if not isinstance(all_or_nothing, bool):
        raise ValueError(f"all_or_nothing={all_or_nothing!r}: write true or false")
    for name, value in (("time_limit", time_limit), ("total_time_limit", total_time_limit)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10**6:
            raise ValueError(f"{name}={value!r}: give a positive number of seconds")
    if isinstance(memory_limit, bool) or not isinstance(memory_limit, int) or not MIN_MEMORY <= memory_limit <= 10**6:
        raise ValueError(f"memory_limit={memory_limit!r}: give a whole number of MiB, {MIN_MEMORY} or more")


def _tests(ground_truth: object) -> list[_Test]:
    try:
        truth = opened(ground_truth)
        if isinstance(truth, str):
            raise ValueError("a text that is no JSON object")
        if "fn_name" in truth:
            raise ValueError("tests that call a function by name; write them as asserts")
        if "inputs" in truth:
            pairs = zip(truth["inputs"], truth["outputs"], strict=True)
            tests = [_Test(given=_text(given), wanted=_text(wanted)) for given, wanted in pairs]
        elif "assert_case" in truth:
            tests = [_Test(code=_text(code)) for code in truth["assert_case"]]
        else:
            tests = [_Test(code=_text(truth["test"]))]
        if not tests:
            raise ValueError("no tests")
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: {error}; code tests need {{'inputs': ['1\\n'], 'outputs': "
            "['1\\n']}, {'assert_case': ['assert f(1) == 1']} or {'test': 'assert f(1) == 1'}"
        ) from error
    return tests


def _text(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)


def _passes(program: str, test: _Test, seconds: float, memory: int) -> bool:
    report = _run(
        {
            "code": program,
            "input": test.given,
            "test": test.code,
            "token": secrets.token_hex(16),
            "nonce": secrets.token_hex(16),
            "seconds": seconds,
            "memory": memory,
        }
    )
    if not report["ended"]:
        return False
    if test.code is not None:
        return report["passed"]
    return report["output"] is not None and _words_by_line(report["output"]) == _words_by_line(test.wanted)


def _words_by_line(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if line.strip()]


def _run(job: dict) -> dict:
    """Run one job in a process of its own and return the supervisor's report; a supervisor that was killed ended badly.

    Raises:
        RuntimeError: if the interpreter does not start.
    """
    directory = tempfile.mkdtemp(prefix="code_tests_")
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(job).encode())
            stdin.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(RUNNER)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=directory,
                env={},
                start_new_session=True,
            )
        try:
            written = _read(process.stdout.fileno(), job["seconds"] + REPORT_LIMIT)
        finally:
            # Before the process is reaped: until then its number belongs to no other group.
            with suppress(PermissionError):  # macOS: it has ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
    finally:
        _remove(directory)
    started, _, report = written.partition(b"\n")
    if started != b"started":
        raise RuntimeError(f"{sys.executable} -I -S {RUNNER} does not start, so no test can be run")
    try:
        found = json.loads(report)
        if found["nonce"] == job["nonce"]:
            return found
    except (LookupError, TypeError, ValueError, RecursionError):
        pass
    return {"ended": False}


def _read(descriptor: int, seconds: float) -> bytes:
    """Read until the other end closes, these seconds after its first sign of life, or more than a report can be."""
    content = bytearray()
    deadline = time.monotonic() + START_LIMIT
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while len(content) <= MAX_REPORT and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(descriptor, 2**20)
            if not chunk:
                break
            if not content:
                deadline = time.monotonic() + seconds
            content += chunk
    return bytes(content)


def _remove(directory: str) -> None:
    """Remove a directory, whatever a program left in it: rmtree gives up on a tree of a thousand levels."""
    try:
        os.rmdir(directory)
    except OSError:
        with suppress(subprocess.TimeoutExpired):  # the rest is left to whoever clears the temporary files
            subprocess.run(["rm", "-rf", "--", directory], stderr=subprocess.DEVNULL, timeout=REMOVE_LIMIT, check=False)
