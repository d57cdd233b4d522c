"""All checks of one launch, in the order in which their answers help."""

from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad import models
from grpo_launchpad.preflight.batch import check_batch, check_integers
from grpo_launchpad.preflight.data import check_data
from grpo_launchpad.preflight.keys import check_dead_keys
from grpo_launchpad.preflight.machine import check_disk, check_ray
from grpo_launchpad.preflight.model import check_model, count_parameters
from grpo_launchpad.preflight.problem import Problem


def check(config: DictConfig, overrides: list[str], run_dir: Path) -> list[Problem]:
    """Return everything that is wrong with a launch. Reads files and asks hosts; changes nothing.

    Args:
        config: what ``overrides`` compose to.
        overrides: the Hydra overrides as given, for keys that compose and do nothing.
        run_dir: the folder the run would write to.
    """
    if problems := check_integers(config):
        return problems
    model_folder = models.locate(config.actor_rollout_ref.model.path)
    parameters = count_parameters(model_folder) if model_folder else None
    return [
        *check_dead_keys(overrides),
        *check_batch(config),
        *check_data(config),
        *check_model(config),
        *check_disk(config, run_dir, parameters),
        *check_ray(),
    ]


def report_problems(problems: list[Problem]) -> str:
    """Return the problems as the text that a user reads."""
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return "\n".join([f"preflight: {count}, nothing was started", *(f"  {problem}" for problem in problems)])
