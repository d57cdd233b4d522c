"""A user's mistake: one message that names the knob and where it stands, exit code 2, nothing started or written."""

import re

import pytest

from tests.examples.launcher_file import BY_NAME, WITHOUT_SMOKE, Launcher
from tests.examples.sandbox import Sandbox

TINY = "run_tiny_cpu_arithmetic"
MEGATRON = "run_qwen2-7b_megatron_gsm8k"
NONSENSE = [
    ("TRAIN_BATCH_SIZE", "many", "a whole number above 0"),
    ("TRAIN_BATCH_SIZE", "0", "a whole number above 0"),
    ("TRAIN_BATCH_SIZE", "-8", "a whole number above 0"),
    ("TRAIN_BATCH_SIZE", "8.0", "a whole number above 0"),
    ("MAX_PROMPT_LENGTH", "x[$(touch trace)]", "a whole number above 0"),
    ("TEST_FREQ", "often", "a whole number"),
    ("TEST_FREQ", "08", "a whole number"),
    ("ACTOR_LR", "1e", "a number"),
    ("ACTOR_LR", "nan", "a number"),
    ("GRADIENT_CHECKPOINTING", "yes", "True or False"),
    ("LOSS_AGG_MODE", "token mean", "a single word"),
    ("LORA_RANK", "1_6", "a whole number"),
]


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, data) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("untouched"), data)


def refused(sandbox: Sandbox, launcher: str, *overrides: str, **environment: str) -> str:
    """Return what a launcher says when it refuses; whether it would be for real or not makes no difference."""
    before = sandbox.files()
    for dry_run in ("0", "1"):
        result = sandbox.try_command(launcher, *overrides, DRY_RUN=dry_run, **environment)
        assert (result.returncode, result.stdout, result.calls) == (2, "", []), result.stderr
        assert result.stderr.startswith(f"{launcher}: ")
        assert result.stderr.count("\n") == 1, result.stderr
        assert sandbox.files() == before
    return result.stderr


def line_of(launcher: Launcher, knob: str) -> int:
    return 1 + next(i for i, line in enumerate(launcher.lines) if line.startswith(f"{knob}="))


@pytest.mark.parametrize(("knob", "value", "wanted"), NONSENSE, ids=lambda value: re.sub(r"\W+", "-", value))
def test_nonsense_in_a_knob_is_named_with_its_line(untouched, knob, value, wanted):
    message = refused(untouched, TINY, **{knob: value})
    assert message.endswith(f"{knob}={value} is not {wanted}\n")
    launcher = BY_NAME[TINY]
    where = f"{launcher.path.name}:{line_of(launcher, knob)}: {knob}=" if knob in launcher.knobs else f": {knob}="
    assert where in message


def test_nonsense_in_a_smoke_run_is_refused_before_anything_is_computed_with_it(untouched):
    assert "MAX_PROMPT_LENGTH=" in refused(untouched, TINY, SMOKE="1", MAX_PROMPT_LENGTH="x[$(touch trace)]")


@pytest.mark.parametrize(
    ("name", "knob", "owner"),
    [(TINY, "ACTOR_TP", "megatron"), (TINY, "RECOMPUTE_METHOD", "megatron"), (MEGATRON, "FSDP_SIZE", "fsdp")],
)
def test_a_knob_of_the_other_backend_is_refused(untouched, name, knob, owner):
    message = refused(untouched, name, **{knob: "2"})
    assert f"{knob} is a knob of {owner} launchers" in message


def test_a_knob_of_both_backends_works_in_both(untouched):
    settings = untouched.print_command(MEGATRON, LORA_RANK="8").settings()
    assert settings["actor_rollout_ref.model.lora.rank"] == "8"
    assert "actor_rollout_ref.model.lora_rank" not in settings


def test_a_missing_python_is_named(untouched):
    assert "/no/such/python not found" in refused(untouched, TINY, PYTHON="/no/such/python")


def test_a_python_too_old_is_refused_by_name(untouched):
    old = untouched.program("old-python", '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    message = refused(untouched, TINY, PYTHON=str(old))
    assert "Python 3.9.2" in message
    assert "3.11" in message


@pytest.mark.parametrize("name", WITHOUT_SMOKE)
def test_a_smoke_run_that_cannot_be_is_refused_with_its_reason(untouched, name):
    assert WITHOUT_SMOKE[name] in refused(untouched, name, SMOKE="1")


def test_a_run_folder_that_cannot_be_made_is_named(sandbox):
    (sandbox.folder / "a file").write_text("")
    result = sandbox.launch(TINY, RUN_DIR=str(sandbox.folder / "a file" / "run"))
    assert result.returncode == 2
    assert "set RUN_DIR to a folder that can be written" in result.stderr
    assert result.calls == []


@pytest.mark.parametrize("dry_run", ["0", "1"])
def test_a_problem_found_by_the_checks_starts_nothing_and_leaves_nothing(sandbox, tmp_path, dry_run):
    result = sandbox.launch(MEGATRON, DATA_DIR=str(tmp_path / "empty"), DRY_RUN=dry_run)
    assert result.returncode == 2
    assert "train.parquet does not exist" in result.stderr
    assert result.calls == []
    assert "main_ppo" not in result.stdout
    assert not (sandbox.runs / MEGATRON).exists()
