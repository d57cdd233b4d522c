"""The estimate of a composed configuration, and what keeps one from being made."""

from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad import models
from grpo_launchpad.architectures import Architecture, of_model
from grpo_launchpad.estimate.architecture import Shape, shape_of
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.memory import Memory, memory_of
from grpo_launchpad.estimate.verl import Launch, launch_of


class NoEstimateError(ValueError):
    """There is no estimate; the text says why and what would help."""


@dataclass(frozen=True)
class Estimated:
    """A launch with its memory."""

    launch: Launch
    memory: Memory


def estimate(config: DictConfig, device: Device | None, *, npu: bool = False) -> Estimated:
    """Estimate the memory of a launch.

    Args:
        config: composed, with values of the right kinds.
        device: the accelerator, or None.
        npu: whether devices are Ascend NPUs.

    Raises:
        NoEstimateError: if the model's architecture or the trainer is not known.
    """
    return _estimate(config, shape_of_model(config), device, npu)


def _estimate(config: DictConfig, shape: Shape, device: Device | None, npu: bool) -> Estimated:
    try:
        launch = launch_of(config, shape, npu=npu)
        return Estimated(launch, memory_of(launch, device))
    except (ValueError, ZeroDivisionError) as error:
        raise NoEstimateError(f"no estimate: {error}") from error


def shape_of_model(config: DictConfig) -> Shape:
    """Return the shape of a configuration's model.

    Raises:
        NoEstimateError: if it is not known on this machine, or its weights are quantised.
    """
    name = OmegaConf.select(config, "actor_rollout_ref.model.path") or ""
    architecture = _architecture(name)
    if architecture is None:
        raise NoEstimateError(f"no estimate: the architecture of {name or 'no model'} is not known on this machine")
    overridden = OmegaConf.select(config, "actor_rollout_ref.model.override_config") or {}
    changed = {key: value for key, value in dict(overridden).items() if key != "attn_implementation"}
    try:
        return shape_of({**architecture.config, **changed})
    except (ValueError, KeyError, TypeError) as error:
        field = f"its configuration has no {error}" if isinstance(error, KeyError) else str(error)
        raise NoEstimateError(f"no estimate: {field}") from error


def _architecture(name: str) -> Architecture | None:
    try:
        return of_model(str(models.locate(name) or name))
    except (OSError, ValueError):
        return None
