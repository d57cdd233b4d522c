"""A user's mistake: one message that names the knob and where it stands, exit code 2, nothing started or written."""

import re
import sys

import pytest

from tests.examples.launcher_file import WITHOUT_SMOKE
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


@pytest.mark.parametrize(("knob", "value", "wanted"), NONSENSE, ids=lambda value: re.sub(r"\W+", "-", value))
def test_nonsense_in_a_knob_is_named(untouched, knob, value, wanted):
    assert refused(untouched, TINY, **{knob: value}) == f"{TINY}: {knob}={value} is not {wanted}\n"


def test_nonsense_in_a_launcher_is_named_with_its_line(sandbox):
    launcher = sandbox.project / "examples" / "grpo_trainer" / f"{TINY}.sh"
    text = launcher.read_text()
    launcher.write_text(text.replace("TRAIN_BATCH_SIZE:=32", "TRAIN_BATCH_SIZE:=many"))
    line = 1 + text[: text.index("TRAIN_BATCH_SIZE:=32")].count("\n")
    message = refused(sandbox, TINY)
    assert message.endswith(f"{launcher.name}:{line}: TRAIN_BATCH_SIZE=many is not a whole number above 0\n")


MISTAKES = {
    "TRAIN_BATCHSIZE=8": "is TRAIN_BATCH_SIZE meant?",
    "train_batch_size=8": "is TRAIN_BATCH_SIZE meant?",
    "DRYRUN=1": "is DRY_RUN meant?",
    "SMOKE=maybe": "write SMOKE=1 or SMOKE=0",
    "USE_KL_LOSS=False": "set KL_LOSS_COEF",
    "ALL_OFFLOAD=True": "set PARAM_OFFLOAD",
    "INFER_BACKEND=a b": "INFER_BACKEND=a b is not a single word",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_variable_in_vain_is_named_with_what_was_meant(untouched, mistake):
    name, value = mistake.split("=")
    assert MISTAKES[mistake] in refused(untouched, TINY, **{name: value})


@pytest.mark.parametrize("flag", ["--cfg", "-m", "--no-such-flag"])
def test_a_flag_is_no_override(untouched, flag):
    assert f"{flag} is no override" in refused(untouched, TINY, flag)


def test_two_names_of_one_knob_must_agree(untouched):
    message = refused(untouched, TINY, ROLLOUT_TP="1", GEN_TP="2")
    assert "ROLLOUT_TP=1 and GEN_TP=2 are the same setting" in message
    untouched.print_command(TINY, ROLLOUT_TP="1", GEN_TP="1")


def test_a_launcher_that_loses_its_arguments_is_refused(sandbox):
    launcher = sandbox.project / "examples" / "grpo_trainer" / f"{TINY}.sh"
    launcher.write_text(launcher.read_text().replace(' "$@"', ""))
    assert "its last line must end in" in refused(sandbox, TINY, "trainer.total_epochs=1")


def test_a_launcher_with_another_form_of_name_is_refused(sandbox):
    folder = sandbox.project / "examples" / "grpo_trainer"
    (folder / "mine.sh").write_text((folder / f"{TINY}.sh").read_text())
    assert "a launcher is named run_<model>_<backend>_<task>.sh" in refused(sandbox, "mine")


def test_a_new_launcher_without_most_knobs_is_planned(sandbox):
    """What a page does not say is verl's own; nothing behind it relies on a knob."""
    text = """set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"
MODEL=(
    "actor_rollout_ref.model.path=${MODEL_PATH:=Qwen/Qwen2.5-0.5B-Instruct}"
)
launch::run "${MODEL[@]}" "$@"
"""
    (sandbox.project / "examples" / "grpo_trainer" / "run_mine_fsdp_gsm8k.sh").write_text(text)
    for variables in ({}, {"SMOKE": "1"}):
        settings = sandbox.print_command("run_mine_fsdp_gsm8k", **variables).settings()
        assert settings["trainer.experiment_name"].startswith("'run_mine_fsdp_gsm8k")


def test_a_python_without_the_packages_is_told_what_it_lacks(untouched, tmp_path):
    bare = untouched.program("bare-python", f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    result = untouched.launch(TINY, DRY_RUN="1", PYTHON=str(bare))
    assert result.returncode == 2
    assert "run `make install`" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_projects_environment_is_used_where_the_active_one_has_no_verl(untouched, tmp_path):
    """A newcomer is often in an environment of something else."""
    for folder in ("bin", "lib/python3.11/site-packages"):
        (tmp_path / "other" / folder).mkdir(parents=True)
    (tmp_path / "other" / "bin" / "python").write_text("#!/bin/sh\nexit 97\n")
    (tmp_path / "other" / "bin" / "python").chmod(0o755)
    sandbox_python = untouched.environment["PYTHON"]
    own = untouched.project / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sandbox_python)
    try:
        result = untouched.launch(
            TINY, DRY_RUN="1", PREFLIGHT="0", VIRTUAL_ENV=str(tmp_path / "other"), without=("PYTHON",)
        )
    finally:
        own.unlink()
        own.parent.rmdir()
        own.parent.parent.rmdir()
    assert result.returncode == 0, result.stderr
    assert str(own) in result.stdout


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
