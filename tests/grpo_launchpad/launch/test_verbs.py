"""The verbs `check` and `launch`: a launcher by its name, from any folder."""

import os
import shlex
import subprocess
import sys

import pytest

from data_prep.pipeline.verl_parquet import make_row
from grpo_launchpad.launch.environment import FLAGS, PLACES
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.launch.plan import ROOT
from tests.verl_files import write_split

TINY = "run_tiny_cpu_arithmetic"
ROLLOUT = "actor_rollout_ref.rollout"
# What a user may have set and a test must not.
STEERING = {
    *(name for knob in read_knobs() for name in (knob.name, *knob.also)),
    *(name for place, (also, _) in PLACES.items() for name in (place, *also)),
    *FLAGS,
}


@pytest.fixture
def folder(tmp_path):
    """A folder elsewhere, with the data of the tiny launcher."""
    for split in ("train", "test"):
        rows = [
            make_row(
                data_source="arithmetic",
                messages=[{"role": "user", "content": f"{index}+1="}],
                ability="math",
                ground_truth=str(index + 1),
                extra_info={"split": split, "index": index},
            )
            for index in range(600)
        ]
        write_split(tmp_path / "data" / "arithmetic", split, rows)
    (tmp_path / "here").mkdir()
    return tmp_path


@pytest.fixture
def command(folder):
    """Runs a verb in another folder than the project's."""

    def run(*arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if name not in STEERING}
        environment |= {"PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data"), "RUN_DIR": str(folder / "run")}
        return subprocess.run(
            [sys.executable, "-m", "grpo_launchpad", *arguments],
            env=environment | variables,
            cwd=folder / "here",
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def test_a_good_launch_is_shown_by_origin_and_checked(command, folder):
    done = command("check", TINY, "trainer.total_epochs=3", ACTOR_LR="1e-4")
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[-1] == "preflight: ok"
    titles = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert [title.split()[0] for title in titles] == [
        "launcher",
        "environment",
        "arguments",
        "device",
        "trackers",
        "files",
    ]
    assert any(line.strip() == "trainer.total_epochs=3" or "trainer.total_epochs=3 " in line for line in lines)
    assert any("actor_rollout_ref.actor.optim.lr=1e-4" in line and "ACTOR_LR" in line for line in lines)
    assert sorted(path.name for path in folder.iterdir()) == ["data", "here"]
    assert list((folder / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["tiny_cpu_arithmetic", f"{TINY}.sh", f"{ROOT}/examples/grpo_trainer/{TINY}.sh"])
def test_any_spelling_of_the_name_will_do(command, name):
    assert command("check", name).returncode == 0


def test_problems_exit_2_each_with_its_place_and_fix(command, folder):
    (folder / "data" / "arithmetic" / "train.parquet").unlink()
    done = command("check", TINY, f"{ROLLOUT}.n=1", "actor_rollout_ref.actor.grad_clip=1.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "preflight: 3 problems, nothing was started\n" in done.stderr
    assert done.stderr.count("    fix: ") == 3
    assert f"  argument {ROLLOUT}.n=1: a group of 1 sample" in done.stderr
    assert f"fix: set the argument {ROLLOUT}.n to 2 or more" in done.stderr
    assert f"  {TINY}.sh:" in done.stderr
    assert " TRAIN_FILES (data.train_files): " in done.stderr
    assert "fix: python data_prep/arithmetic.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_key_exits_2_with_a_fix(command):
    done = command("check", TINY, "trainer.no_such_key=1")
    assert done.returncode == 2
    assert "argument trainer.no_such_key=1: verl 0.9.1 has no such key" in done.stderr
    assert done.stderr.count("    fix: ") == 1


@pytest.mark.parametrize("variables", [{"DRY_RUN": "0"}, {"CHECK": "0"}, {"DRY_RUN": "1"}])
def test_check_never_starts_anything(command, folder, variables):
    done = command("check", TINY, **variables)
    assert (done.returncode, done.stdout) == (0, "")
    assert not (folder / "run").exists()


def test_a_mistake_in_the_environment_exits_2_in_one_line(command):
    done = command("check", TINY, ROLLOUT_N="five")
    assert done.returncode == 2
    assert done.stderr == f"{TINY}: ROLLOUT_N=five is not a whole number above 0\n"


@pytest.mark.parametrize("verb", ["check", "launch"])
def test_an_unknown_launcher_exits_2_with_similar_ones(command, verb):
    done = command(verb, "run_tiny_cpu_aritmetic")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"grpo-launchpad {verb}: there is no launcher 'run_tiny_cpu_aritmetic'; did you mean {TINY}"
    )


def test_launch_gives_the_command_that_bash_gives(command, folder):
    by_verb = command("launch", TINY, "trainer.experiment_name='a b'", DRY_RUN="1")
    environment = {name: value for name, value in os.environ.items() if name not in STEERING}
    environment |= {
        "DRY_RUN": "1",
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(folder / "data"),
        "RUN_DIR": str(folder / "run"),
    }
    by_bash = subprocess.run(
        ["bash", ROOT / "examples" / "grpo_trainer" / f"{TINY}.sh", "trainer.experiment_name='a b'"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (by_verb.returncode, by_verb.stdout, by_verb.stderr) == (0, by_bash.stdout, by_bash.stderr)
    words = shlex.split(by_verb.stdout.replace("\\\n", " "))
    assert words[-1] == "trainer.experiment_name='a b'"


def test_the_help_of_a_launcher_shows_its_knobs_with_the_values_of_this_launch(command, folder):
    done = subprocess.run(
        ["bash", ROOT / "examples" / "grpo_trainer" / f"{TINY}.sh", "--help"],
        env=os.environ | {"ROLLOUT_N": "7", "PYTHON": sys.executable},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "ROLLOUT_N=7" in done.stdout
    for name in (*FLAGS, *PLACES):
        assert f"  {name}" in done.stdout


@pytest.mark.parametrize("arguments", [["-x"], ["--no-such-option"], ["--lr=1"]])
def test_an_option_that_there_is_not_is_refused(command, arguments):
    done = command("check", TINY, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
