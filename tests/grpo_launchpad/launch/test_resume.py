"""A launch goes on with its run's checkpoint only if it is the same training, and says so when it makes it longer."""

import json

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.launch import resume
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.runs.checkpoints import LAST_STEP, steps_in

LAUNCHERS = ROOT / "examples" / "grpo_trainer"
TINY, MEGATRON = "run_tiny_cpu_arithmetic", "run_qwen3-30b-a3b_megatron_math"


@pytest.fixture
def plan(tmp_path):
    """Plans a launch of a run whose files are in a temporary folder."""
    (tmp_path / "train.parquet").write_bytes(b"the rows")

    def plan(launcher=TINY, *arguments, **variables):
        given = {"RUN_DIR": str(tmp_path / "run"), "TRAIN_FILES": str(tmp_path / "train.parquet")} | variables
        return plan_of_page(LAUNCHERS / f"{launcher}.sh", given, ROOT, arguments)

    return plan


def record(plan, step=20):
    """Leave what a launch and its trainer leave: the configuration, the files' digests, a checkpoint's number."""
    config = compose(plan.overrides)
    plan.run.launch.mkdir(parents=True, exist_ok=True)
    plan.run.configuration.write_text(OmegaConf.to_yaml(config, resolve=False))
    plan.run.identity.write_text(json.dumps({"train_files": resume.digests_of(config)}))
    plan.run.checkpoints.mkdir(exist_ok=True)
    (plan.run.checkpoints / LAST_STEP).write_text(str(step))


def hindrance(plan):
    return resume.hindrance(plan, compose(plan.overrides))


def extension(plan):
    return resume.extension(plan, compose(plan.overrides))


def test_the_same_launch_goes_on(plan):
    record(plan())
    assert hindrance(plan()) is None
    assert hindrance(plan(ACTOR_LR="3e-5", TRAIN_BATCH_SIZE="16", PPO_MINI_BATCH_SIZE="16", SAVE_FREQ="1")) is None


@pytest.mark.parametrize(
    ("variables", "what", "put_back"),
    [
        ({"MODEL_PATH": "Qwen/Qwen2-7B-Instruct"}, "model ", "MODEL_PATH=tiny-arithmetic"),
        ({"LORA_RANK": "8"}, "model ", "LORA_RANK=0"),
        ({"REWARDS": "correctness:1.0,format:0.2"}, "reward", "REWARDS=correctness:1.0"),
        ({"NGPUS_PER_NODE": "2"}, "layout", "NGPUS_PER_NODE=1"),
        ({"TRAIN_FILES": "/data/other.parquet"}, "data  ", "TRAIN_FILES={folder}/train.parquet"),
    ],
)
def test_another_training_is_refused_with_the_difference_and_both_ways_out(plan, tmp_path, variables, what, put_back):
    record(plan())
    text = hindrance(plan(**variables))
    put_back = put_back.format(folder=tmp_path)
    first, difference, ways_out = text.splitlines()
    assert first == "the checkpoint of step 20 is of another training, and cannot be gone on with."
    assert difference.startswith(f"  {what}  environment {next(iter(variables))} (")
    assert next(iter(variables.values())) in difference
    assert put_back.partition("=")[2] in difference
    assert ways_out.endswith(f"Start afresh with NEW_RUN=1, or put back what it was: {put_back}")


def test_putting_the_value_back_goes_on(plan):
    record(plan(REWARDS="correctness:1.0,format:0.5"))
    assert "REWARDS=correctness:1.0,format:0.5" in hindrance(plan())
    assert hindrance(plan(REWARDS="correctness:1.0,format:0.5")) is None


def test_changed_rows_are_refused_and_the_same_rows_elsewhere_are_not(plan, tmp_path):
    record(plan())
    (tmp_path / "copy.parquet").write_bytes(b"the rows")
    assert hindrance(plan(TRAIN_FILES=str(tmp_path / "copy.parquet"))) is None
    (tmp_path / "train.parquet").write_bytes(b"the rowz")
    assert "train.parquet: its content has changed" in hindrance(plan())


def test_a_data_file_is_known_by_its_size_and_its_end(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_bytes(b"\0" * (resume.FOOTER_BYTES + 10) + b"footer")
    first = resume.digest_of(file)
    file.write_bytes(b"\0" * (resume.FOOTER_BYTES + 11) + b"footer")
    longer = resume.digest_of(file)
    file.write_bytes(b"\0" * (resume.FOOTER_BYTES + 10) + b"FOOTER")
    assert len({first, longer, resume.digest_of(file)}) == 3


def test_fsdp_goes_on_with_as_many_workers_on_other_machines(plan):
    record(plan(NNODES="1", NGPUS_PER_NODE="2"))
    assert hindrance(plan(NNODES="2", NGPUS_PER_NODE="1")) is None


def test_megatron_goes_on_with_more_workers_but_not_with_other_shares(plan):
    record(plan(MEGATRON, NNODES="2"))
    assert hindrance(plan(MEGATRON, NNODES="4")) is None
    assert "ACTOR_PP=" in hindrance(plan(MEGATRON, NNODES="2", ACTOR_PP="2"))
    reshardable = "actor_rollout_ref.actor.megatron.dist_ckpt_optim_fully_reshardable=True"
    record(plan(MEGATRON, reshardable, NNODES="2"))
    assert hindrance(plan(MEGATRON, reshardable, NNODES="2", ACTOR_PP="2")) is None


@pytest.mark.parametrize("reason", ["no checkpoint", "a smoke run", "resuming is off"])
def test_what_begins_afresh_may_be_another_training(plan, reason):
    other = {"REWARDS": "correctness:0.5"}
    before = plan(SMOKE="1") if reason == "a smoke run" else plan()
    record(before)
    if reason == "no checkpoint":
        (before.run.checkpoints / LAST_STEP).unlink()
        assert hindrance(plan(**other)) is None
    elif reason == "a smoke run":
        assert hindrance(plan(SMOKE="1", **other)) is None
    else:
        assert hindrance(plan(TINY, "trainer.resume_mode=disable", **other)) is None


def test_a_finished_run_that_is_made_longer_says_so(plan):
    record(plan(TRAIN_STEPS="20"))
    assert extension(plan(TRAIN_STEPS="20")) is None
    assert extension(plan(TRAIN_STEPS="30")) == f"{TINY}: it ended with step 20; going on from step 20 to 30"
    record(plan(TRAIN_STEPS="20"), step=15)
    assert extension(plan(TRAIN_STEPS="30")) is None, "it had not ended"


def test_a_checkpoint_counts_when_its_number_is_written(tmp_path):
    for step in (5, 10, 15):
        (tmp_path / f"global_step_{step}").mkdir()
    assert steps_in(tmp_path) == ([], [5, 10, 15])
    (tmp_path / LAST_STEP).write_text("10")
    assert steps_in(tmp_path) == ([5, 10], [15])
