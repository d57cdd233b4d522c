"""All checks of one launch, in the order in which their answers help."""

from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad import models
from grpo_launchpad.architectures import Architecture, of_model
from grpo_launchpad.preflight.batch import check_batch, check_integers
from grpo_launchpad.preflight.data import check_data
from grpo_launchpad.preflight.keys import check_dead_keys
from grpo_launchpad.preflight.layout import check_layout
from grpo_launchpad.preflight.machine import check_disk, check_ray
from grpo_launchpad.preflight.model import check_model, count_parameters
from grpo_launchpad.preflight.places import Places
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.trackers import check_trackers
from grpo_launchpad.preflight.types import check_types


def check(config: DictConfig, overrides: list[str], run_dir: Path) -> list[Problem]:
    """Return everything that is wrong with a launch. Reads files and asks hosts; changes nothing.

    Args:
        config: what ``overrides`` compose to.
        overrides: the Hydra overrides as given, for keys that compose and do nothing.
        run_dir: the folder the run would write to.
    """
    if problems := check_values(config, overrides):
        return problems
    name = config.actor_rollout_ref.model.path
    model_folder = models.locate(name)
    parameters = count_parameters(model_folder) if model_folder else None
    return [
        *check_configuration(config, overrides, _architecture(str(model_folder or name))),
        *check_trackers(config),
        *check_data(config),
        *check_model(config),
        *check_disk(config, run_dir, parameters),
        *check_ray(),
    ]


def check_values(config: DictConfig, overrides: list[str]) -> list[Problem]:
    """Return the values of a wrong kind; the other checks rely on there being none."""
    return check_types(config, overrides) or check_integers(config)


def check_configuration(config: DictConfig, overrides: list[str], architecture: Architecture | None) -> list[Problem]:
    """Return what is wrong whatever the machine, the data and the weights are."""
    return [*check_dead_keys(overrides), *check_batch(config, architecture), *check_layout(config, architecture)]


def _architecture(model: str) -> Architecture | None:
    try:
        return of_model(model)
    except (OSError, ValueError):  # verl says what is wrong with the file; no rule here needs it
        return None


def report_problems(problems: list[Problem], places: Places) -> str:
    """Return the problems as the text that a user reads, each with the place that it comes from."""
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    lines = [f"  {places.of(problem.where)}: {problem.what}\n    fix: {problem.fix}" for problem in problems]
    return "\n".join([f"preflight: {count}, nothing was started", *lines])
