"""A next stage: a launch whose MODEL_PATH is another run, RUN or RUN:STEP, starts from that run's weights."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.knobs import quoted
from grpo_launchpad.launch.plan import Plan, Setting
from grpo_launchpad.runs.checkpoints import last_step
from grpo_launchpad.runs.folder import RunFolder

MODEL = "actor_rollout_ref.model.path"


@dataclass(frozen=True)
class Stage:
    """The weights that a launch starts from.

    Attributes:
        run: whose they are.
        step: of the checkpoint.
    """

    run: RunFolder
    step: int

    @property
    def folder(self) -> Path:
        """The exported model, which may have to be made."""
        return self.run.export(self.step)

    @property
    def command(self) -> list[str]:
        """What makes the folder, as words behind Python."""
        return ["-P", "-m", "grpo_launchpad", "export", str(self.run.path), "--step", str(self.step)]


def stage_before(plan: Plan) -> Stage | None:
    """Return what a launch starts from if its model is a run, else None.

    Raises:
        UserError: if that run has no checkpoint, or is the launch's own.
    """
    name = plan.value(MODEL)
    before, colon, after = name.rpartition(":")
    path, step = (before, int(after)) if colon and after.isdecimal() else (name, None)
    run = RunFolder(Path(path).expanduser().absolute())
    if not path or not run.identity.is_file():
        return None
    if run.path == plan.run.path:
        raise UserError(f"MODEL_PATH={name} is this run itself; name the next stage with RUN_NAME=<another name>")
    if step is None:
        step = last_step(_checkpoints(run))
    if step is None:
        raise UserError(f"MODEL_PATH={name}: this run has no checkpoint to start from; launch it again")
    return Stage(run, step)


def with_exported_model(plan: Plan) -> Plan:
    """Return the plan with the folder of the model that it starts from, which is exported if need be.

    Raises:
        UserError: if it cannot be; the export has said why.
    """
    stage = stage_before(plan)
    if stage is None:
        return plan
    if not stage.folder.exists():
        done = subprocess.run([plan.python, *stage.command], stdout=sys.stderr, check=False)
        if done.returncode:
            raise UserError(f"MODEL_PATH={plan.value(MODEL)}: its model could not be exported (exit {done.returncode})")
    return plan.with_settings(Setting(MODEL, quoted(str(stage.folder)), plan.settings[MODEL].origin))


def _checkpoints(run: RunFolder) -> Path:
    if run.checkpoints.is_dir() or not run.configuration.is_file():
        return run.checkpoints
    return Path(OmegaConf.load(run.configuration).trainer.default_local_dir)
