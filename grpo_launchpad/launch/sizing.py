"""What a planned launch needs of its devices: for the line of each launch, the table of CHECK=1, and the refusal."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from grpo_launchpad import models
from grpo_launchpad.architectures import of_model
from grpo_launchpad.estimate import duration, show
from grpo_launchpad.estimate.calibration import calibrated
from grpo_launchpad.estimate.duration import Duration
from grpo_launchpad.estimate.hardware import Chosen, choose
from grpo_launchpad.estimate.memory import host_total
from grpo_launchpad.estimate.of_config import Estimated, NoEstimateError, estimate
from grpo_launchpad.estimate.parts import GIB
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import Plan
from grpo_launchpad.preflight.data import rows_of
from grpo_launchpad.preflight.memory import check_memory
from grpo_launchpad.preflight.problem import Problem

CPU_ONLY = "a CPU run needs no estimate of devices"


@dataclass(frozen=True)
class Sizing:
    """The estimate of a launch.

    Attributes:
        chosen: the accelerator.
        found: the estimate; None if there is none.
        reason: why there is none.
        problems: what keeps the launch from fitting.
        duration: its time; None without an accelerator.
    """

    chosen: Chosen
    found: Estimated | None
    reason: str
    problems: list[Problem]
    duration: Duration | None = None

    @property
    def lines(self) -> str:
        """The estimate in a line of memory and one of time, or why there is none."""
        if self.found is None:
            return f"memory: {self.reason}"
        memory = show.line(self.found.memory, self.chosen.device, self.chosen.origin)
        return memory if self.duration is None else f"{memory}\n{duration.line(self.duration)}"

    @property
    def tables(self) -> str:
        """The whole estimate, or nothing if there is none."""
        tables = [show.table(self.found.memory)] if self.found else []
        return "\n".join([*tables, *([duration.table(self.duration)] if self.duration else [])])

    def notes(self, memory: int, shared: int | None) -> list[str]:
        """Return what this machine may have too little of beside its devices: memory, and room in /dev/shm.

        Args:
            memory: bytes that processes here may use.
            shared: bytes free in /dev/shm; None if there is none.
        """
        if self.found is None:
            return []
        wanted = self.found.memory
        said = [(host_total(wanted), memory, "memory"), (wanted.shared, shared or 0, "room in /dev/shm")]
        return [
            f"note: about {needed / GIB:,.0f} GiB of {what} are needed on this machine, and it has {there / GIB:,.0f}"
            for needed, there, what in said
            if needed > there
        ]

    def as_object(self) -> dict[str, Any]:
        """Return the estimate for JSON: memory and time, each null if it is not known, and the reason."""
        device, origin = self.chosen.device, self.chosen.origin
        return {
            "memory": show.as_object(self.found.memory, device, origin) if self.found else None,
            "time": duration.as_object(self.duration) if self.duration else None,
            "no_estimate": self.reason or None,
        }


# Problems with these say nothing against the layout that is estimated: files that are missing, folders, trackers.
DECIDING = ("actor_rollout_ref.", "trainer.n", "data.max_", "data.train_batch_size", "algorithm.")


def can_be_sized(config: DictConfig | None, problems: list[Problem]) -> bool:
    """Say whether a launch with problems has a layout that an estimate can read."""
    mistaken = any(problem.where.startswith(DECIDING) and not problem.where.endswith(".path") for problem in problems)
    return config is not None and not mistaken


def size(plan: Plan, config: DictConfig) -> Sizing:
    """Estimate a launch.

    Args:
        plan: of the launch; its environment may name a DEVICE, which is in the table.
        config: what it composes to, without other problems.
    """
    if plan.device == "cpu":
        return Sizing(Chosen(None, CPU_ONLY), None, CPU_ONLY, [])
    chosen = choose(plan.environment.variables, plan.device, Page(plan.launcher).header)
    npu = plan.device == "npu"
    try:
        found = estimate(config, chosen.device, npu=npu)
    except NoEstimateError as error:
        return Sizing(chosen, None, str(error), [])
    if chosen.device is None:
        return Sizing(chosen, found, "", [])
    name = config.actor_rollout_ref.model.path
    architecture = of_model(str(models.locate(name) or name))
    return Sizing(
        chosen=chosen,
        found=found,
        reason="",
        problems=check_memory(config, found, chosen.device, architecture, npu=npu),
        duration=calibrated(
            config,
            found.launch,
            chosen.device,
            rows_of(config.data.train_files) or None,
            rows_of(config.data.val_files) or None,
            plan.run.path if plan.run.path.is_dir() else None,
        ),
    )
