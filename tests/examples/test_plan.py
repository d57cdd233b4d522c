"""What a person sees of a plan: where each value comes from, the help of a launcher, and what SMOKE=1 leaves alone."""

import subprocess

import pytest

from grpo_launchpad.launch.plan import Source
from grpo_launchpad.preflight.compose import compose
from tests.examples.launcher_file import BY_NAME

TINY, FSDP = BY_NAME["run_tiny_cpu_arithmetic"], BY_NAME["run_qwen2-7b_fsdp_gsm8k"]
MEGATRON = BY_NAME["run_qwen2-7b_megatron_gsm8k"]
LENGTH = "data.max_response_length"


def test_every_setting_is_shown_once_under_its_origin_and_the_command_can_be_pasted(representative, dry_sandbox):
    result = dry_sandbox.print_command(representative, f"{LENGTH}=77", TRAIN_BATCH_SIZE="128")
    shown = [line.strip() for line in result.stderr.splitlines()]
    for override in result.printed_arguments():
        assert sum(override in line for line in shown) >= 1, override
    sections = [line for line in result.stderr.splitlines() if line.endswith(":")]
    assert [line.split(" ")[0].rstrip(":") for line in sections][:3] == ["launcher", "environment", "arguments"]
    row = next(line for line in shown if "data.train_batch_size=128" in line)
    page = BY_NAME[representative].page
    assert f"{representative}.sh:{page.line_of('data.train_batch_size')} says" in row
    parsed = subprocess.run(["bash", "-n"], input=result.stdout, text=True, capture_output=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")


def test_a_dry_run_of_a_smoke_run_checks_what_is_there_and_prints_its_command(dry_sandbox):
    result = dry_sandbox.launch(FSDP.name, DRY_RUN="1", SMOKE="1", MODEL_PATH="Qwen/Qwen2-7B-Instruct")
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("SMOKE=1: a shrunken model, the task's sample, NGPUS_PER_NODE 8 -> 2")
    assert "preflight: ok" in result.stderr
    assert result.calls == []
    assert result.settings()["actor_rollout_ref.model.path"] == "'smoke:Qwen/Qwen2-7B-Instruct'"


def test_a_dry_run_without_checks_checks_nothing(dry_sandbox):
    result = dry_sandbox.launch(FSDP.name, "trainer.no_such_key=1", DRY_RUN="1", PREFLIGHT="0")
    assert result.returncode == 0, result.stderr
    assert "preflight" not in result.stderr


@pytest.mark.parametrize("yes", ["1", "true", "True", "yes", "on"])
def test_a_flag_may_be_said_in_words(dry_sandbox, yes):
    result = dry_sandbox.launch(TINY.name, DRY_RUN=yes, PREFLIGHT="no")
    assert (result.returncode, result.calls) == (0, []), result.stderr


def test_help_shows_the_header_and_the_knobs_with_the_values_of_this_launch(sandbox):
    for flag in ("--help", "-h"):
        result = sandbox.launch(FSDP.name, flag, TRAIN_BATCH_SIZE="64")
        assert (result.returncode, result.stderr, result.calls) == (0, "", [])
        for line in FSDP.page.header:
            assert line in result.stdout
        assert "TRAIN_BATCH_SIZE=64" in result.stdout
        assert "ROLLOUT_N=5" in result.stdout
        assert "DRY_RUN=1" in result.stdout


def test_places_are_named_in_the_words_of_who_set_the_value():
    line = FSDP.page.line_of(LENGTH)
    assert FSDP.plan().place_of(LENGTH) == f"{FSDP.name}.sh:{line} MAX_RESPONSE_LENGTH ({LENGTH})"
    assert FSDP.plan(MAX_RESPONSE_LENGTH="7").place_of(LENGTH) == f"environment MAX_RESPONSE_LENGTH ({LENGTH})"
    assert FSDP.plan(MAX_RESPONSE_LEN="7").place_of(LENGTH) == f"environment MAX_RESPONSE_LEN ({LENGTH})"
    assert FSDP.plan(f"{LENGTH}=7").place_of(LENGTH) == f"argument {LENGTH}=7"
    assert FSDP.plan().place_of("actor_rollout_ref.actor.strategy").startswith(f"{FSDP.name}.sh:")
    assert FSDP.plan().place_of("trainer.balance_batch") == "trainer.balance_batch"


def test_a_fix_names_the_argument_that_holds_the_value():
    key = "actor_rollout_ref.rollout.expert_parallel_size"
    fix = "set ROLLOUT_EP=1"
    assert FSDP.plan(f"{key}=2").fix_in_place(fix) == f"set the argument {key}=1"
    assert FSDP.plan(ROLLOUT_EP="2").fix_in_place(fix) == fix


SMOKED = ("TRAIN_BATCH_SIZE", "ROLLOUT_N", "MAX_RESPONSE_LENGTH", "ACTOR_LR", "TRAIN_STEPS", "ROLLOUT_TP", "ACTOR_TP")


@pytest.mark.parametrize("knob", SMOKED)
def test_a_smoke_run_keeps_a_knob_that_was_set_by_hand(knob):
    row = next(each for each in MEGATRON.table() if each.name == knob)
    value = {"ACTOR_LR": "0.5", "ROLLOUT_TP": "1", "ACTOR_TP": "2"}.get(knob, "6")
    by_knob = MEGATRON.plan(SMOKE="1", **{knob: value})
    by_argument = MEGATRON.plan(f"{row.keys[0]}={value}", SMOKE="1")
    for plan in (by_knob, by_argument):
        assert plan.value(row.keys[0]) == value
        assert plan.settings[row.keys[0]].origin.source >= Source.ENVIRONMENT
        assert knob not in [name for name, _, _ in plan.smoked]
        compose(plan.overrides)


def test_a_smoke_run_keeps_an_argument_for_which_it_has_no_use():
    launcher = BY_NAME["run_qwen3-30b-a3b_megatron_math"]
    key = "actor_rollout_ref.actor.optim.override_optimizer_config.optimizer_cpu_offload"
    assert key not in launcher.plan(SMOKE="1").settings
    assert launcher.plan(f"+{key}=True", SMOKE="1").value(key) == "True"


def test_a_smoke_run_takes_the_users_own_data():
    plan = FSDP.plan(SMOKE="1", TRAIN_FILES="/mine/train.parquet", VAL_FILES="/mine/val.parquet")
    assert plan.value("data.train_files") == "/mine/train.parquet"
    assert plan.value("data.val_files") == "/mine/val.parquet"


def test_a_smoke_run_does_without_the_clusters_machines_whatever_its_file_says(dry_sandbox, tmp_path):
    plan = FSDP.plan(SMOKE="1", NNODES="4", MODEL_PATH="/models/mine")
    assert plan.value("trainer.nnodes") == "1"
    assert plan.value("actor_rollout_ref.model.path") == "smoke:/models/mine"


def test_a_smoke_run_says_in_one_line_what_it_made_small(dry_sandbox):
    result = dry_sandbox.print_command(FSDP.name, SMOKE="1", ROLLOUT_N="3")
    first = result.stderr.splitlines()[0]
    assert first.startswith("SMOKE=1: a shrunken model")
    assert "TRAIN_BATCH_SIZE 1024 -> 8" in first
    assert "ROLLOUT_N" not in first
