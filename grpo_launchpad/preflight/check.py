"""All checks of one launch, in the order in which their answers help."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grpo_launchpad import models
from grpo_launchpad.architectures import Architecture, of_model
from grpo_launchpad.estimate.memory import checkpoint_bytes
from grpo_launchpad.estimate.of_config import NoEstimateError, estimate, shape_of_model
from grpo_launchpad.preflight.added import check_added_keys
from grpo_launchpad.preflight.batch import check_batch, check_integers
from grpo_launchpad.preflight.compose import compose, without_deletions
from grpo_launchpad.preflight.custom_reward import check_custom_reward
from grpo_launchpad.preflight.data import check_capacity, check_data
from grpo_launchpad.preflight.keys import check_dead_keys, check_keys_without_effect
from grpo_launchpad.preflight.layout import check_layout
from grpo_launchpad.preflight.machine import (
    check_devices,
    check_disk,
    check_engine,
    check_folders,
    check_imports,
    check_limits,
    check_ray,
    check_socket_paths,
)
from grpo_launchpad.preflight.model import check_model, count_parameters
from grpo_launchpad.preflight.override import backend_of
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.preflight.ranges import check_ranges
from grpo_launchpad.preflight.reward import check_algorithm
from grpo_launchpad.preflight.trackers import check_trackers
from grpo_launchpad.preflight.types import check_types, defaults_of
from grpo_launchpad.preflight.words import check_recomputing, check_words

# A checkpoint holds the weights and both Adam moments in fp32, as far as nothing else is known of it.
WEIGHTS_AND_MOMENTS = 12


def check(
    config: DictConfig, overrides: list[str], run_dir: Path, made_later: frozenset[str] = frozenset()
) -> list[Problem]:
    """Return everything that is wrong with a launch. Reads files and asks hosts; changes nothing.

    Args:
        config: what ``overrides`` compose to.
        overrides: the Hydra overrides as given, for keys that compose and do nothing.
        run_dir: the folder the run would write to.
        made_later: folders whose data files are made before the training starts.
    """
    kept = without_deletions(overrides)
    if kept != overrides:  # a deleted key has its dataclass's default in verl; here, that of verl's tree
        config, overrides = compose(kept), kept
    if problems := check_values(config, overrides):
        return problems
    name = config.actor_rollout_ref.model.path
    model_folder = models.locate(name)
    return [
        *check_configuration(config, overrides, _architecture(str(model_folder or name))),
        *check_trackers(config),
        *check_custom_reward(config),
        *check_data(config, made_later),
        *check_model(config),
        *check_folders((run_dir, Path(config.trainer.default_local_dir))),
        *check_imports(),
        *check_socket_paths(config),
        *check_capacity(config),
        *check_ray(),
    ]


def check_machine(config: DictConfig, device: str, run_dir: Path) -> tuple[list[Problem], list[Problem]]:
    """Return what this machine lacks for a launch that ``check`` found right: devices, limits, and room on its disks.

    Args:
        config: the composed configuration.
        device: "cuda", "npu" or "cpu".
        run_dir: the folder the run would write to.
    """
    lacking = [*check_devices(config, device), *check_engine(config), *check_limits(config, device)]
    return lacking, check_disk(config, run_dir, checkpoint_size(config, npu=device == "npu"))


def checkpoint_size(config: DictConfig, *, npu: bool = False) -> float | None:
    """Return the bytes of a checkpoint: what is saved by the trainer's estimate, else 12 a weight.

    None if neither its files nor its architecture are known.
    """
    name = OmegaConf.select(config, "actor_rollout_ref.model.path") or ""  # deleted, if checks were skipped
    if name.startswith(models.SMOKE):
        return None
    try:
        return checkpoint_bytes(estimate(config, None, npu=npu).launch)
    except (NoEstimateError, OmegaConfBaseException):
        folder = models.locate(name)
    if (parameters := count_parameters(folder) if folder else None) is None:
        try:
            parameters = shape_of_model(config).total
        except NoEstimateError:
            return None
    return WEIGHTS_AND_MOMENTS * parameters


def check_values(config: DictConfig, overrides: list[str]) -> list[Problem]:
    """Return the values of a wrong kind; the other checks rely on there being none."""
    return check_types(config, overrides) or check_integers(config)


def check_configuration(config: DictConfig, overrides: list[str], architecture: Architecture | None) -> list[Problem]:
    """Return what is wrong whatever the machine, the data and the weights are."""
    return [
        *check_dead_keys(overrides),
        *check_keys_without_effect(config, overrides),
        *check_added_keys(config, overrides, set(defaults_of(backend_of(overrides)))),
        *check_words(config, overrides),
        *check_ranges(config),
        *check_recomputing(config),
        *check_algorithm(config),
        *check_batch(config, architecture),
        *check_layout(config, architecture),
    ]


def _architecture(model: str) -> Architecture | None:
    try:
        return of_model(model)
    except (OSError, ValueError):  # verl says what is wrong with the file; no rule here needs it
        return None


def report_problems(problems: list[Problem], place_of: Callable[[str], str], fix_in_place: Callable[[str], str]) -> str:
    """Return the problems as the text that a user reads.

    Args:
        problems: at least one.
        place_of: returns a key with the place where it was set.
        fix_in_place: returns a fix in terms of who set the value.
    """
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    lines = [
        f"  {place_of(problem.where)}: {problem.what}\n    fix: {fix_in_place(problem.fix)}" for problem in problems
    ]
    return "\n".join([f"preflight: {count}, nothing was started", *lines])
