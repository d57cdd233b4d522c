"""A launch whose model is a run starts from that run's weights."""

import sys

import pytest

from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.plan import ROOT, plan_of_page
from grpo_launchpad.launch.stage import stage_before, with_exported_model
from grpo_launchpad.runs.checkpoints import LAST_STEP
from grpo_launchpad.runs.folder import RunFolder

LAUNCHER = ROOT / "examples" / "grpo_trainer" / "run_tiny_cpu_arithmetic.sh"


@pytest.fixture
def first(tmp_path) -> RunFolder:
    """A run whose checkpoint of step 20 was exported, and that of step 10 not."""
    run = RunFolder(tmp_path / "first stage")
    run.launch.mkdir(parents=True)
    run.identity.write_text('{"name": "first"}')
    run.checkpoints.mkdir()
    (run.checkpoints / LAST_STEP).write_text("20")
    run.export(20).mkdir(parents=True)
    return run


def plan(model, tmp_path, run="second"):
    return plan_of_page(LAUNCHER, {"PYTHON": sys.executable, "RUN_DIR": str(tmp_path / run), "MODEL_PATH": str(model)})


def test_the_last_weights_of_a_run(first, tmp_path):
    planned = with_exported_model(plan(first.path, tmp_path))
    setting = planned.settings["actor_rollout_ref.model.path"]
    assert setting.plain_value == str(first.export(20))
    assert setting.origin.name == "MODEL_PATH"


def test_the_weights_of_a_step_that_is_exported_first(first, tmp_path, capfd):
    stage = stage_before(plan(f"{first.path}:10", tmp_path))
    assert (stage.step, stage.folder) == (10, first.export(10))
    assert stage.command[3:] == ["export", str(first.path), "--step", "10"]
    with pytest.raises(UserError, match="its model could not be exported \\(exit 2\\)"):
        with_exported_model(plan(f"{first.path}:10", tmp_path))
    assert "Give the whole folder that the launcher wrote" in capfd.readouterr().err


@pytest.mark.parametrize("model", ["tiny-arithmetic", "Qwen/Qwen2-7B-Instruct", "runs/not-there", "runs/not-there:3"])
def test_a_model_is_no_stage(model, tmp_path):
    planned = plan(model, tmp_path)
    assert stage_before(planned) is None
    assert with_exported_model(planned) is planned


def test_a_run_does_not_start_from_itself(first, tmp_path):
    with pytest.raises(UserError, match="is this run itself; name the next stage with RUN_NAME="):
        stage_before(plan(first.path, tmp_path, "first stage"))


def test_a_run_without_a_checkpoint_is_nothing_to_start_from(first, tmp_path):
    (first.checkpoints / LAST_STEP).unlink()
    with pytest.raises(UserError, match="this run has no checkpoint to start from"):
        stage_before(plan(first.path, tmp_path))
