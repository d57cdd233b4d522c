"""Whom a message names for a key, and how it says what to change: in terms of whoever set the value."""

import pytest

from grpo_launchpad.launch.launchers import all_files
from grpo_launchpad.launch.plan import make_plan, plan_of_page
from grpo_launchpad.preflight.check import report_problems
from grpo_launchpad.preflight.problem import Problem

ROLLOUT = "actor_rollout_ref.rollout"
LAUNCHER = """\
#!/usr/bin/env bash
set -euo pipefail
DATA=(
    "trainer.nnodes=${NNODES:=1}"
    "data.max_prompt_length=${MAX_PROMPT_LENGTH:=512}"
    "data.max_response_length=${MAX_RESPONSE_LENGTH:=1024}" # long
)
ROLLOUT=(
    "actor_rollout_ref.rollout.enforce_eager=True" # why
    "actor_rollout_ref.rollout.max_model_len=${MAX_MODEL_LEN:=1536}"
)
launch::run "${DATA[@]}" "${ROLLOUT[@]}" "$@"
"""


@pytest.fixture
def launcher(tmp_path):
    path = tmp_path / "run_qwen2-7b_fsdp_gsm8k.sh"
    path.write_text(LAUNCHER)
    return path


@pytest.fixture
def place(launcher, tmp_path):
    """Says where a key is set in a launch with these arguments and this environment."""
    return lambda key, *arguments, **variables: plan_of_page(launcher, variables, tmp_path, arguments).place_of(key)


def test_a_default_is_named_with_the_launchers_line_and_knob(place):
    key = "data.max_response_length"
    assert place(key) == f"run_qwen2-7b_fsdp_gsm8k.sh:6 MAX_RESPONSE_LENGTH ({key})"


def test_a_line_without_a_knob_is_named_by_its_number(place):
    assert place(f"{ROLLOUT}.enforce_eager") == f"run_qwen2-7b_fsdp_gsm8k.sh:9 {ROLLOUT}.enforce_eager"


@pytest.mark.parametrize(("name", "value"), [("MAX_RESPONSE_LENGTH", "7"), ("MAX_RESPONSE_LEN", "7")])
def test_the_environment_is_named_with_the_variable_that_was_set(place, name, value):
    key = "data.max_response_length"
    assert place(key, **{name: value}) == f"environment {name} ({key})"


def test_a_knob_that_the_launcher_does_not_name_has_no_line(place):
    key = f"{ROLLOUT}.data_parallel_size"
    assert place(key, ROLLOUT_DP="2") == f"environment ROLLOUT_DP ({key})"


def test_the_clusters_file_is_named(launcher, tmp_path):
    plan = make_plan(launcher, ["trainer.nnodes=4"], [], {"NNODES": "4"}, ["NNODES"], tmp_path)
    assert plan.place_of("trainer.nnodes") == "cluster/env.sh NNODES (trainer.nnodes)"


def test_an_argument_is_named_as_it_was_given(place):
    assert place("data.max_response_length", "data.max_response_length=9") == "argument data.max_response_length=9"
    key = f"{ROLLOUT}.data_parallel_size"
    assert place(key, f"++{key}=2", ROLLOUT_DP="4") == f"argument ++{key}=2"
    assert place("trainer.use_v1", "trainer.use_v1=False") == "argument trainer.use_v1=False"
    assert place(f"{ROLLOUT}.enforce_eager", f"~{ROLLOUT}.enforce_eager") == f"argument ~{ROLLOUT}.enforce_eager"


def test_of_two_arguments_the_last_is_named(place):
    assert place("trainer.nnodes", "trainer.nnodes=2", "trainer.nnodes=3") == "argument trainer.nnodes=3"


def test_what_follows_from_another_key_is_named_with_its_cause(place):
    key = f"{ROLLOUT}.max_model_len"
    assert place(key) == f"run_qwen2-7b_fsdp_gsm8k.sh:10 MAX_MODEL_LEN ({key})"
    assert place(key, MAX_PROMPT_LENGTH="9") == f"environment MAX_PROMPT_LENGTH ({key})"
    assert place(key, MAX_MODEL_LEN="9") == f"environment MAX_MODEL_LEN ({key})"


def test_what_the_project_sets_is_its_key_alone(place):
    assert place("trainer.logger") == "trainer.logger"
    assert place("trainer.default_local_dir") == "trainer.default_local_dir"


@pytest.mark.parametrize("key", ["trainer.use_v1", "RAY_ADDRESS", "current folder", "/a/file", ""])
def test_a_key_nobody_set_and_what_is_no_key_stay_as_they_are(place, key):
    assert place(key) == key


def test_every_line_of_every_launcher_can_be_named():
    for file in all_files():
        plan = plan_of_page(file)
        for number, text in enumerate(file.read_text().splitlines(), start=1):
            if text.startswith('    "') and "=" in text:
                key = text.strip(' "+~').partition("=")[0]
                assert plan.place_of(key).startswith(f"{file.name}:{number} "), key


@pytest.fixture
def fix(launcher, tmp_path):
    """Says a fix in a launch with these arguments."""
    return lambda text, *arguments, **variables: plan_of_page(launcher, variables, tmp_path, arguments).fix_in_place(
        text
    )


def test_a_fix_names_the_knob_where_the_knob_is_heard(fix):
    assert fix("set NNODES=1") == "set NNODES=1"
    assert fix("set NNODES=1", NNODES="3") == "set NNODES=1"
    assert fix("set NNODES=1", "trainer.total_epochs=2") == "set NNODES=1"


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("set NNODES=1", ["trainer.nnodes=3"], "set the argument trainer.nnodes=1"),
        ("set NNODES=1, or wait", ["trainer.nnodes=3"], "set the argument trainer.nnodes=1, or wait"),
        ("set ROLLOUT_N to 2 or more", [f"{ROLLOUT}.n=1"], f"set the argument {ROLLOUT}.n to 2 or more"),
        (
            "set MAX_NUM_SEQS=64, or MAX_NUM_BATCHED_TOKENS=256 or more",
            [f"{ROLLOUT}.max_num_seqs=256"],
            f"set the argument {ROLLOUT}.max_num_seqs=64, or MAX_NUM_BATCHED_TOKENS=256 or more",
        ),
        (
            "make TRAIN_BATCH_SIZE x ROLLOUT_N one of 8",
            ["data.train_batch_size=3", f"{ROLLOUT}.n=1"],
            f"make the argument data.train_batch_size x the argument {ROLLOUT}.n one of 8",
        ),
        (
            "or save less often (SAVE_FREQ)",
            ["trainer.save_freq=1"],
            "or save less often (the argument trainer.save_freq)",
        ),
        (
            "set LOG_PROB_MAX_TOKEN_LEN=4096",
            ["actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=1"],
            "set the argument actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=4096",
        ),
    ],
)
def test_a_fix_names_the_argument_that_would_beat_the_knob(fix, text, arguments, said):
    assert fix(text, *arguments) == said


def test_a_knob_within_another_name_is_left_alone(fix):
    """VAL_TEMPERATURE has TEMPERATURE in it, and MAX_NUM_SEQS_2 would begin with MAX_NUM_SEQS."""
    text = "set VAL_TEMPERATURE=1, MAX_NUM_SEQS_2=3 or MY_NNODES=4"
    assert fix(text, f"{ROLLOUT}.temperature=2", f"{ROLLOUT}.max_num_seqs=1", "trainer.nnodes=2") == text


def test_a_fixed_value_may_hold_dots_and_commas(fix):
    assert fix("set ACTOR_LR=1e-6, please", "actor_rollout_ref.actor.optim.lr=x") == (
        "set the argument actor_rollout_ref.actor.optim.lr=1e-6, please"
    )
    assert fix("set GPU_MEMORY_UTILIZATION=0.5.", f"{ROLLOUT}.gpu_memory_utilization=1") in (
        f"set the argument {ROLLOUT}.gpu_memory_utilization=0.5.",
    )


def test_problems_are_reported_with_place_and_fix(launcher, tmp_path):
    plan = plan_of_page(launcher, {}, tmp_path, ["trainer.nnodes=3"])
    problems = [
        Problem("trainer.nnodes", "too many", "set NNODES=1"),
        Problem("data.max_prompt_length", "too long", "set MAX_PROMPT_LENGTH=1"),
    ]
    assert report_problems(problems, plan.place_of, plan.fix_in_place).splitlines() == [
        "preflight: 2 problems, nothing was started",
        "  argument trainer.nnodes=3: too many",
        "    fix: set the argument trainer.nnodes=1",
        "  run_qwen2-7b_fsdp_gsm8k.sh:5 MAX_PROMPT_LENGTH (data.max_prompt_length): too long",
        "    fix: set MAX_PROMPT_LENGTH=1",
    ]
    assert report_problems(problems[:1], plan.place_of, plan.fix_in_place).startswith("preflight: 1 problem, ")
