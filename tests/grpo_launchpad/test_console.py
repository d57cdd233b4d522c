import io
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

STEP = (
    "(TaskRunnerV1 pid=1) step:3 - critic/rewards/mean:np.float64(0.5) - response_length/mean:3.5 - timing_s/step:4.2"
)


def shown(*lines: str) -> str:
    screen = io.StringIO()
    console = Console(screen)
    for line in lines:
        console.show(line)
    return screen.getvalue()


def through(log: Path, data: bytes, **environment: str):
    command = [sys.executable, "-m", "grpo_launchpad.console", str(log)]
    inherited = {name: value for name, value in os.environ.items() if name != "VERBOSE"}
    return subprocess.run(command, input=data, capture_output=True, timeout=300, env=inherited | environment)


@pytest.mark.parametrize(("text", "meaning"), MILESTONES.items())
def test_milestone_is_said_once(text, meaning):
    assert shown(f"x {text} y", f"x {text} y").count(meaning) == 1


def test_step_says_what_was_learnt_and_how_long_it_took():
    text = shown("Training Progress:   5%|▌ | 1/20 [00:04<01:20]", STEP)
    assert re.fullmatch(r"\[ *\d+\.\d s\] step 3/20  reward 0\.500  response 4 tokens  4\.2 s\n", text)


def test_step_shows_held_out_accuracy_and_numbers_that_are_none():
    text = shown("step:5 - val-core/arithmetic/acc/mean@1:0.25 - critic/rewards/mean:nan")
    assert "held-out accuracy 0.250" in text
    assert "reward nan" in text


@pytest.mark.parametrize("value", ["1.2.3", "1..", "np.float64(1.2.3)", "-", "1e", "9" * 5000])
def test_malformed_number_does_not_stop_the_console(value):
    assert "step 3" in shown(f"step:3 - critic/rewards/mean:{value}")


def test_log_is_whole_and_time_stamped(tmp_path):
    log = tmp_path / "log.txt"
    done = through(log, b"one\rtwo\n\x1b[31mred\x1b[0m\n\xff\xfe\nFinal validation metrics: {}\n")
    assert (done.returncode, done.stdout) == (0, b"")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} "
    texts = [re.sub(f"^{stamp}", "", line) for line in log.read_text().splitlines() if re.match(stamp, line)]
    assert texts == ["one", "two", "red", "\ufffd\ufffd", "Final validation metrics: {}"]


def test_end_of_the_log_is_shown_when_the_trainer_dies(tmp_path):
    lines = "".join(f"line {number}.\n" for number in range(100))
    out = through(tmp_path / "log.txt", lines.encode()).stdout.decode()
    assert "line 99." in out
    assert "line 75." in out
    assert "line 74." not in out


def test_verbose_shows_everything(tmp_path):
    assert through(tmp_path / "log.txt", b"one\ntwo\n", VERBOSE="1").stdout == b"one\ntwo\n"


def test_screen_that_cannot_show_a_character_does_not_stop_the_console(tmp_path):
    done = through(tmp_path / "log.txt", "größer ▌\n".encode(), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr.decode()


LIKE_A_STEP = st.text("0123456789.e-+naif()p_:/ ", max_size=30).map(lambda text: f"step:1 - timing_s/step:{text}")


@given(st.lists(st.one_of(st.text(), LIKE_A_STEP)))
@settings(deadline=None, max_examples=200)
def test_no_line_stops_the_console(lines):
    shown(*lines)


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=5)
def test_no_bytes_stop_the_command(data):
    with tempfile.TemporaryDirectory() as folder:
        assert through(Path(folder) / "log.txt", data).returncode == 0


def test_a_closed_screen_does_not_stop_the_training(tmp_path):
    log = tmp_path / "log.txt"
    line = "Started a local Ray instance step:1 - a:1"
    trainer = f"""{sys.executable} -c "for _ in range(20000): print('{line}')" """
    script = f"set -o pipefail; {trainer} | {sys.executable} -m grpo_launchpad.console '{log}' | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len(log.read_text().splitlines()) == 20000
