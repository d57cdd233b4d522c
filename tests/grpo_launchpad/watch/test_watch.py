import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from grpo_launchpad.runs import attempts
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.watch.screen import BLOCKS, render, sparkline
from grpo_launchpad.watch.state import Status, WatchedRun
from tests.run_folders import START, training, validation


def screen(folder, encoding="utf-8") -> str:
    watched = WatchedRun(RunFolder(folder.path))
    watched.update()
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=out, width=80, no_color=True, force_terminal=False, highlight=False)
    console.print(render(watched, console))
    out.flush()
    return out.buffer.getvalue().decode(encoding)


def status(folder) -> Status:
    watched = WatchedRun(RunFolder(folder.path))
    watched.update()
    return watched.status()


def long_ago(folder) -> None:
    for path in (folder.path / "launch/attempts.jsonl", *folder.path.glob("*.*.*")):
        os.utime(path, (START, START))


def test_a_finished_run_in_80_columns(healthy):
    text = screen(healthy)
    assert "finished" in text
    assert re.search(r"reward +0\.600 +▁▃█ +0\.300", text)
    assert re.search(r"held-out accuracy +0\.750 +▁█ +0\.250", text)
    assert "health: nothing found" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_a_terminal_without_blocks_gets_letters(healthy):
    text = screen(healthy, "ascii")
    assert re.search(r"reward +0\.600 +_\S# +0\.300", text)


def test_a_run_that_has_not_started(run_folder):
    assert status(run_folder) is Status.NOT_STARTED
    assert "no attempt is recorded" in screen(run_folder)


def test_a_run_that_starts_says_what_it_does(run_folder):
    now = time.time()
    run_folder.attempt(1, started_at=now)
    with (run_folder.path / "launch/attempts.jsonl").open("a") as records:
        records.write(json.dumps({"attempt": 1, "phase": "starting Ray", "began_at": now}) + "\n")
    assert status(run_folder) is Status.STARTING
    assert re.search(r"now: starting Ray for \d s", screen(run_folder))


@pytest.mark.parametrize(
    ("code", "expected", "text"),
    [(1, Status.FAILED, "exit code 1"), (130, Status.INTERRUPTED, "to resume"), (75, Status.FAILED, "its step hung")],
)
def test_how_a_run_ended(run_folder, code, expected, text):
    run_folder.attempt(1, ended_at=START + 9, exit_code=code)
    assert status(run_folder) is expected
    assert text in screen(run_folder)


def test_a_run_without_an_end_is_dead_when_it_is_silent_and_nobody_holds_its_lock(run_folder):
    run_folder.attempt(1)
    run_folder.metrics({1: training()})
    run_folder.log([(START, "hello")])
    assert status(run_folder) is Status.TRAINING
    long_ago(run_folder)
    assert status(run_folder) is Status.DIED
    holder = subprocess.Popen(["flock", run_folder.path / "launch/lock", "sleep", "60"], start_new_session=True)
    try:
        deadline = time.monotonic() + 30
        while status(run_folder) is Status.DIED and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status(run_folder) is Status.TRAINING
        assert "step-hangs" in screen(run_folder)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()


def test_a_run_that_was_ended_because_it_hung(run_folder):
    run_folder.attempt(1, ended_at=START + 9, exit_code=75)
    run_folder.metrics({1: training()})
    attempts.record(RunFolder(run_folder.path), 1, {"hung_step": 2, "waited": 9.0})
    assert "step-hangs: step 2 did not end" in screen(run_folder)


def test_steps_come_as_they_are_written_and_a_torn_line_waits(run_folder):
    watched = WatchedRun(RunFolder(run_folder.path))
    run_folder.attempt(1)
    run_folder.metrics({1: training()}, tail='{"step": 2, "data": {"critic/rew')
    steps, _ = watched.update()
    assert [step.step for step in steps] == [1]
    with (run_folder.path / "metrics.1.jsonl").open("a") as metrics:
        metrics.write('ards/mean": 0.9}}\n')
    steps, _ = watched.update()
    assert [(step.step, step.metrics) for step in steps] == [(2, {"critic/rewards/mean": 0.9})]
    assert watched.update() == ([], [])


def test_a_resume_discards_the_steps_that_it_repeats(run_folder):
    watched = WatchedRun(RunFolder(run_folder.path))
    run_folder.attempt(1)
    run_folder.metrics({0: validation(0.2), **{step: training(0.1 * step) for step in (1, 2, 3)}})
    watched.update()
    run_folder.attempt(2)
    run_folder.metrics({1: validation(0.3), 2: training(0.7)}, attempt=2)
    watched.update()
    assert list(watched.metrics) == [0, 1, 2]
    assert watched.rewards() == [pytest.approx(0.1), 0.7]


def test_the_command_follows_a_run_in_plain_lines(run_folder):
    run_folder.attempt(1)
    run_folder.launch_files(config="trainer:\n  total_training_steps: 2\n")
    run_folder.metrics({1: training()})

    def go_on():
        time.sleep(3)
        run_folder.metrics({1: training(), 2: training(0.9, response_length__clip_ratio=0.9)})
        run_folder.attempt(1, ended_at=START + 60, exit_code=0)

    thread = threading.Thread(target=go_on)
    thread.start()
    command = [sys.executable, "-m", "grpo_launchpad", "watch", str(run_folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    thread.join()
    assert done.returncode == 0, done.stderr
    assert "step 1/2" in done.stdout
    assert "\nstep 2/2  reward 0.900" in done.stdout
    assert "! truncation: response clip ratio 0.90 (step 2)" in done.stdout
    assert "finished after 1 min 00 s" in done.stdout


def test_no_such_run_is_a_users_mistake():
    command = [sys.executable, "-m", "grpo_launchpad", "watch", "no-such-run"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "there is no run no-such-run" in done.stderr


@given(st.lists(st.floats(-1e9, 1e9), max_size=200), st.integers(1, 60))
def test_a_sparkline_fits_and_shows_the_extremes(values, width):
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(BLOCKS)
    if len(values) == width and len(set(values)) > 1:
        assert {BLOCKS[0], BLOCKS[-1]} <= set(line)
