import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.console import MILESTONES, Console
from grpo_launchpad.health.monitor import OWN_LINE
from grpo_launchpad.runs.attempts import progress_of, read_json_lines
from grpo_launchpad.runs.settings import Settings

STEP = (
    "(TaskRunnerV1 pid=1) step:3 - critic/rewards/mean:np.float64(0.5) - response_length/mean:3.5 - timing_s/step:4.2"
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def a_console(**more):
    screen, clock = io.StringIO(), Clock()
    return Console(screen, now=clock, **more), screen, clock


def shown(*lines: str) -> str:
    console, screen, _ = a_console()
    for line in lines:
        console.show(line)
    return screen.getvalue()


def through(run: Path, data: bytes, *options: str, **environment: str):
    command = [sys.executable, "-m", "grpo_launchpad.console", str(run), "1", *options]
    inherited = {name: value for name, value in os.environ.items() if name not in ("VERBOSE", "END_IF_HUNG")}
    return subprocess.run(command, input=data, capture_output=True, timeout=300, env=inherited | environment)


@pytest.mark.parametrize(("text", "meaning"), [(text, done) for text, (done, _) in MILESTONES.items()])
def test_milestone_is_said_once(text, meaning):
    assert shown(f"x {text} y", f"x {text} y").count(meaning) == 1


def test_step_says_what_was_learnt_how_long_it_took_and_how_long_is_left():
    text = shown("Training Progress:   5%|▌ | 1/20 [00:04<01:20]", STEP)
    said = r"\[ *\d+\.\d s\] step 3/20  reward 0\.500  response 4 tokens  4\.2 s  1 min 11 s to go\n"
    assert re.fullmatch(said, text)


def test_step_shows_held_out_accuracy_and_numbers_that_are_none():
    text = shown("step:5 - val-core/arithmetic/acc/mean@1:0.25 - critic/rewards/mean:nan")
    assert "held-out accuracy 0.250" in text
    assert "reward nan" in text


@pytest.mark.parametrize("value", ["1.2.3", "1..", "np.float64(1.2.3)", "-", "1e", "9" * 5000])
def test_malformed_number_does_not_stop_the_console(value):
    assert "step 3" in shown(f"step:3 - critic/rewards/mean:{value}")


def test_what_is_wrong_is_said_once_and_kept_in_the_log():
    notes = []
    console, screen, _ = a_console(note=notes.append)
    for step in (1, 2):
        console.show(f"step:{step} - critic/rewards/mean:0.5 - actor/grad_norm:nan")
    assert screen.getvalue().count("!! not-a-number: NaN in actor/grad_norm (step 1)") == 1
    assert [note for note in notes if "not-a-number" in note and note.startswith(OWN_LINE)] == notes


def test_nothing_is_silent_for_more_than_ten_seconds():
    console, screen, clock = a_console(usual={"loading the data": 31.0})
    console.show("Started a local Ray instance")
    for _ in range(40):
        clock.now += 0.5
        console.tick()
    said = screen.getvalue().splitlines()
    assert said[1:] == [
        "[  10.0 s] ... loading the data: 10 s (usually 31 s)",
        "[  20.0 s] ... loading the data: 20 s (usually 31 s)",
    ]


def test_a_hanging_step_is_named_within_twice_the_median_and_then_looked_at():
    console, screen, clock = a_console(settings=Settings(total_steps=9), end_at=10, launcher=os.getpid())
    for step in range(1, 5):
        clock.now += 4.0
        console.show(f"step:{step} - critic/rewards/mean:0.5 - timing_s/step:4.0")
    begin = clock.now
    named = ended = None
    while ended is None:
        clock.now += 0.5
        if console.tick():
            ended = clock.now
        if named is None and "step-hangs" in screen.getvalue():
            named = clock.now
    assert named - begin == 8.5  # the first look after twice 4 s
    assert ended - begin == 40.5
    assert "step 5 has run for 8.5 s; usually 4 s" in screen.getvalue()
    assert "no process of this run is on this machine" in screen.getvalue()


def test_a_start_that_hangs_is_compared_with_the_last_one():
    usual = {"starting Ray": 10.0, "the first step": 10.0, "step 2": 5000.0}
    console, screen, clock = a_console(usual=usual)
    for _ in range(90):
        clock.now += 0.5
        console.tick()
    assert "[  40.5 s] !! step-hangs: the first step has not ended, the start has run for 40.5 s; usually 20 s" in (
        screen.getvalue()
    )


def test_the_ending_of_a_run_is_no_hang():
    console, screen, clock = a_console(settings=Settings(total_steps=2))
    for step in (1, 2):
        console.show(f"step:{step} - critic/rewards/mean:0.5 - timing_s/step:4.0")
    clock.now += 1000
    assert not console.tick()
    assert "step-hangs" not in screen.getvalue()


def test_a_resumed_run_is_judged_with_the_steps_before(tmp_path):
    earlier = {step: {"critic/rewards/mean": 0.5, "timing_s/step": 4.0, "actor/entropy": 1.0} for step in (1, 2, 3)}
    console, screen, _ = a_console(settings=Settings(total_steps=9), earlier=earlier)
    console.show("step:3 - critic/rewards/mean:0.5 - timing_s/step:9.0 - actor/entropy:2.0")
    assert "entropy" not in screen.getvalue()
    console.show("step:4 - critic/rewards/mean:0.5 - timing_s/step:4.0 - actor/entropy:4.0")
    assert "entropy rose from 1 to 4 nats" in screen.getvalue()


def test_a_resume_that_validates_first_remembers_the_accuracy_before(tmp_path):
    earlier = {0: {"val-core/a/acc/mean@1": 0.9}, 1: {"critic/rewards/mean": 0.5, "timing_s/step": 4.0}}
    console, screen, _ = a_console(settings=Settings(total_steps=9), earlier=earlier)
    console.show("step:1 - val-core/a/acc/mean@1:0.8")
    assert [validation.accuracy for validation in console.monitor.history.validations] == [0.9, 0.8]
    console.show("step:2 - critic/rewards/mean:0.5 - timing_s/step:4.0 - val-core/a/acc/mean@1:0.5")
    assert "held-out accuracy fell from 90.0% (step 0) to 50.0%" in screen.getvalue()


def test_log_is_whole_and_time_stamped(tmp_path):
    done = through(tmp_path, b"one\rtwo\n\x1b[31mred\x1b[0m\n\xff\xfe\nFinal validation metrics: {}\n")
    assert (done.returncode, done.stdout) == (0, b"")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} "
    lines = (tmp_path / "log.1.txt").read_text().splitlines()
    texts = [re.sub(f"^{stamp}", "", line) for line in lines if re.match(stamp, line)]
    assert texts == ["one", "two", "red", "\ufffd\ufffd", "Final validation metrics: {}"]


def test_phases_and_the_number_of_steps_are_recorded(tmp_path):
    (tmp_path / "launch").mkdir()
    through(tmp_path, b"Started a local Ray instance\nTotal training steps: 20\nFinal validation metrics: {}\n")
    progress = progress_of(read_json_lines(tmp_path / "launch/attempts.jsonl"))[1]
    assert list(progress.phases) == ["starting Ray", "loading the data", "ending the run"]
    assert progress.total_steps == 20
    assert set(progress.durations()) == {"starting Ray", "loading the data"}


def test_end_of_the_log_is_shown_when_the_trainer_dies(tmp_path):
    lines = "".join(f"line {number}.\n" for number in range(100))
    out = through(tmp_path, lines.encode()).stdout.decode()
    assert "line 99." in out
    assert "line 75." in out
    assert "line 74." not in out


def test_a_hanging_trainer_is_ended_with_the_code_for_another_try(tmp_path):
    (tmp_path / "launch").mkdir()
    step = "step:%d - critic/rewards/mean:0.5 - timing_s/step:0.2"
    trainer = f"for n in 1 2 3; do echo '{step}' | sed s/%d/$n/; done; exec sleep 100"
    script = f"""
        {{ {trainer}; }} > >(END_IF_HUNG=3 {sys.executable} -m grpo_launchpad.console {tmp_path} 1 --trainer $$ 2>&1;
                            echo "code $?")
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert "END_IF_HUNG ends the run" in done.stdout
    assert "code 75" in done.stdout
    assert "[health] step-hangs" in (tmp_path / "log.1.txt").read_text()


def test_verbose_shows_everything(tmp_path):
    assert through(tmp_path, b"one\ntwo\n", VERBOSE="1").stdout == b"one\ntwo\n"


def test_screen_that_cannot_show_a_character_does_not_stop_the_console(tmp_path):
    done = through(tmp_path, "größer ▌\n".encode(), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr.decode()


LIKE_A_STEP = st.text("0123456789.e-+naif()p_:/ ", max_size=30).map(lambda text: f"step:1 - timing_s/step:{text}")


@given(st.lists(st.one_of(st.text(), LIKE_A_STEP)))
@settings(deadline=None, max_examples=200)
def test_no_line_stops_the_console(lines):
    console, _, clock = a_console()
    for line in lines:
        console.show(line)
        clock.now += 1
        console.tick()


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=5)
def test_no_bytes_stop_the_command(data):
    with tempfile.TemporaryDirectory() as folder:
        assert through(Path(folder), data).returncode == 0


def test_a_closed_screen_does_not_stop_the_training(tmp_path):
    line = "Started a local Ray instance step:1 - a:1"
    trainer = f"""{sys.executable} -c "for _ in range(20000): print('{line}')" """
    script = f"set -o pipefail; {trainer} | {sys.executable} -m grpo_launchpad.console '{tmp_path}' 1 | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "log.1.txt").read_text().splitlines()) == 20000


def test_a_number_beyond_all_bounds_is_no_total():
    assert json.dumps(shown("Training Progress: 1%| | 1/" + "9" * 30 + " [00:01]"))
