"""Checks of the machine: room on the disk, and a Ray cluster that answers."""

import os
import shutil
import socket
from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad.preflight.problem import Problem

GIB = 2**30
# A checkpoint holds the weights and two Adam moments in fp32: 12 bytes a parameter.
CHECKPOINT_BYTES_PER_PARAMETER = 12
# Logs, rollouts and metrics of a run.
BYTES_BESIDE_CHECKPOINTS = GIB // 4


def check_disk(config: DictConfig, run_dir: Path, parameters: int | None) -> list[Problem]:
    """Check that the checkpoint folder's disk has room for one checkpoint more than are kept.

    Args:
        config: the composed configuration.
        run_dir: where logs go.
        parameters: the model's parameter count, or None if it is not known before a download.
    """
    kept = (config.trainer.max_actor_ckpt_to_keep or 1) + 1 if config.trainer.save_freq > 0 else 0
    needed = BYTES_BESIDE_CHECKPOINTS + kept * CHECKPOINT_BYTES_PER_PARAMETER * (parameters or 0)
    problems = []
    for folder in {run_dir, Path(config.trainer.default_local_dir)}:
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            problems.append(
                Problem(
                    str(folder),
                    f"{free / GIB:.1f} GiB free, about {needed / GIB:.1f} GiB needed for logs and checkpoints",
                    "free some space, set RUN_DIR or CHECKPOINT_DIR to another disk, or save less often (SAVE_FREQ)",
                )
            )
    return problems


def check_ray(timeout_seconds: float = 3.0) -> list[Problem]:
    """Check that the cluster named by RAY_ADDRESS answers. Without one, verl starts Ray itself, on free ports."""
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not address or address in ("auto", "local"):
        return []
    unset = "start the cluster (`ray start --head`), correct RAY_ADDRESS, or unset it to run on this machine alone"
    if not host or not port.isdecimal() or int(port) > 65535:
        return [Problem("RAY_ADDRESS", f"{address!r} is not host:port", unset)]
    try:
        socket.create_connection((host, int(port)), timeout=timeout_seconds).close()
    except OSError as error:
        return [Problem("RAY_ADDRESS", f"no Ray cluster answers at {address} ({error})", unset)]
    return []
