"""What a planned launch needs of its devices: for the line of each launch, the table of CHECK=1, and the refusal."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from grpo_launchpad import models
from grpo_launchpad.architectures import of_model
from grpo_launchpad.estimate import show
from grpo_launchpad.estimate.hardware import Chosen, choose
from grpo_launchpad.estimate.of_config import Estimated, NoEstimateError, estimate
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import Plan
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
    """

    chosen: Chosen
    found: Estimated | None
    reason: str
    problems: list[Problem]

    @property
    def line(self) -> str:
        """The estimate in one line, or why there is none."""
        if self.found is None:
            return f"memory: {self.reason}"
        return show.line(self.found.memory, self.chosen.device, self.chosen.origin)

    @property
    def table(self) -> str:
        """The whole estimate, or nothing if there is none."""
        return show.table(self.found.memory) if self.found else ""

    def as_object(self) -> dict[str, Any] | None:
        """Return the estimate for JSON, or None if there is none."""
        if self.found is None:
            return None
        return show.as_object(self.found.memory, self.chosen.device, self.chosen.origin)


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
    problems = []
    if chosen.device is not None:
        name = config.actor_rollout_ref.model.path
        architecture = of_model(str(models.locate(name) or name))
        problems = check_memory(config, found, chosen.device, architecture, npu=npu)
    return Sizing(chosen, found, "", problems)
