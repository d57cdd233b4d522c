"""Checks of the model, without downloading or loading it."""

import json
import struct
from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad import models
from grpo_launchpad.preflight.problem import Problem


def check_model(config: DictConfig) -> list[Problem]:
    """Check that the model is on this machine, can be made here, or has a name that a hub can be asked for."""
    name = config.actor_rollout_ref.model.path
    if models.is_made_here(name) or models.is_repository_name(name):
        return []
    try:
        models.resolve(name, download=False)
    except models.ModelNotFoundError as error:
        fix = "set MODEL_PATH to a folder with config.json, or to a name on a hub (owner/name)"
        return [Problem("actor_rollout_ref.model.path", str(error), fix)]
    return []


def count_parameters(folder: Path) -> int | None:
    """Return the number of parameters in a folder's safetensors files, read from their headers, or None if none."""
    files = list(folder.glob("*.safetensors"))
    if not files:
        return None
    total = 0
    for file in files:
        with file.open("rb") as stream:
            (header_size,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(header_size))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for dimension in tensor["shape"]:
                    size *= dimension
                total += size
    return total
