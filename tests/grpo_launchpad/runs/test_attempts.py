"""The records of a run's attempts, also where a writer was stopped in the middle of a line."""

import json
import os
import subprocess
import sys

import pytest

from grpo_launchpad.report.run_folder import read_run
from grpo_launchpad.runs.attempts import next_attempt, read_json_lines, record_end, record_start
from grpo_launchpad.runs.folder import RunFolder

# Records a start on a disk that has room for a part of the line.
CUT_OFF = """
import resource, sys
from pathlib import Path
from grpo_launchpad.runs.attempts import record_start
from grpo_launchpad.runs.folder import RunFolder
run = RunFolder(Path(sys.argv[1]))
room = run.attempts.stat().st_size + 20 if run.attempts.exists() else 20
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
try:
    record_start(run, 2, 1.0, 1)
except OSError as error:
    print(error.strerror)
"""
MANY = """
import sys
from pathlib import Path
from grpo_launchpad.runs.attempts import record_start
from grpo_launchpad.runs.folder import RunFolder
for number in range(200):
    record_start(RunFolder(Path(sys.argv[1])), int(sys.argv[2]), number, 1)
"""


@pytest.fixture
def run(tmp_path):
    run = RunFolder(tmp_path)
    run.launch.mkdir()
    run.identity.write_text('{"name": "a run"}')
    return run


@pytest.fixture
def torn(run):
    """A run whose second record was cut off by a full disk, for real."""
    record_start(run, 1, 1.0, os.getpid())
    done = subprocess.run([sys.executable, "-c", CUT_OFF, run.path], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("File too large\n", "")
    assert not run.attempts.read_bytes().endswith(b"\n")
    return run


def test_an_end_is_recorded_beside_its_start(run):
    record_start(run, 3, 1.5, 99)
    record_end(run, 3, 137)
    start, end = map(json.loads, run.attempts.read_text().splitlines())
    assert start == {"attempt": 3, "started_at": 1.5, "pid": 99}
    assert (end["attempt"], end["exit_code"]) == (3, 137)
    assert end["ended_at"] > start["started_at"]


def test_a_record_behind_a_torn_one_stands_on_its_own_line(torn):
    record_start(torn, 2, 2.0, 1)
    record_end(torn, 2, 0)
    first, torn_line, *rest = torn.attempts.read_text().splitlines()
    assert json.loads(first)["attempt"] == 1
    assert torn_line == '{"attempt": 2, "star'
    assert [json.loads(line)["attempt"] for line in rest] == [2, 2]


def test_a_torn_record_is_passed_over_and_named(torn):
    unreadable = []
    assert [record["attempt"] for record in read_json_lines(torn.attempts, unreadable)] == [1]
    assert unreadable == ["attempts.jsonl, line 2"]
    assert next_attempt(torn) == 2
    assert [attempt.number for attempt in read_run(torn.path).attempts] == [1]


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"7\n", b"[1]\n", b'"x"\n', b"\xff\xfe\n", b"\0\0\0", b"9" * 5000])
def test_no_line_stops_the_next_attempt(run, line):
    run.attempts.write_bytes(line)
    assert next_attempt(run) == 1
    record_start(run, 1, 1.0, 1)
    assert next_attempt(run) == 2


@pytest.mark.parametrize("number", ['"3"', "null", "3.5", "[]"])
def test_a_record_whose_attempt_is_no_number_does_not_count(run, number):
    run.attempts.write_text(f'{{"attempt": {number}}}\n')
    assert next_attempt(run) == 1


def test_the_next_attempt_is_one_more_than_any_that_left_a_trace(run):
    assert next_attempt(run) == 1
    record_start(run, 2, 1.0, 1)
    record_start(run, 1, 1.0, 1)
    assert next_attempt(run) == 3
    run.log(9).touch()
    run.metrics(4).touch()
    assert next_attempt(run) == 10


def test_two_writers_at_once_lose_nothing(run):
    writers = [subprocess.Popen([sys.executable, "-c", MANY, run.path, number]) for number in "12"]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]
    unreadable = []
    numbers = [record["attempt"] for record in read_json_lines(run.attempts, unreadable)]
    assert (numbers.count(1), numbers.count(2), unreadable) == (200, 200, [])
