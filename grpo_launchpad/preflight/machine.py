"""Checks of the machine: its devices, room on the disk, and a Ray cluster that answers."""

import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.doctor.accelerators import DEVICE_NAMES, VISIBLE, count_npus, count_nvidia, visible_of
from grpo_launchpad.doctor.judge import FAIL, judge_open_files, judge_shared_memory
from grpo_launchpad.doctor.ray_cluster import answers, spare_bytes, temporary_folder
from grpo_launchpad.doctor.system import can_be_written, existing_folder, read_system
from grpo_launchpad.preflight.problem import Problem

GIB = 2**30
# Logs, rollouts and metrics of a run.
BYTES_BESIDE_CHECKPOINTS = GIB // 4


def check_folders(folders: Iterable[Path]) -> list[Problem]:
    """Check that what a run writes to are folders that can be written, or can be made."""
    problems = []
    for folder in dict.fromkeys(folders):
        existing = existing_folder(folder)
        fix = "set RUN_DIR or CHECKPOINT_DIR to a folder that can be written"
        if not existing.is_dir():
            problems.append(Problem(str(folder), f"{existing} is a file", fix))
        elif not can_be_written(existing):
            problems.append(Problem(str(folder), f"{existing} cannot be written", fix))
    return problems


def check_imports() -> list[Problem]:
    """Check that no package of the engine lies in the current folder: Ray puts it first in its workers' paths.

    Source: ``ray/_private/worker.py``, connect(): the driver's current folder goes to all workers.
    """
    problems = []
    for name in ("verl", "vllm", "torch", "transformers", "ray"):
        here = Path.cwd() / name / "__init__.py"
        spec = find_spec(name) if here.exists() else None
        if spec is not None and spec.origin and Path(spec.origin).resolve() != here.resolve():
            what = f"{here.parent} would be imported by Ray's workers instead of the installed {name}"
            problems.append(Problem("current folder", what, "start the launcher from another folder"))
    return problems


def check_socket_paths(config: DictConfig) -> list[Problem]:
    """Check that Ray's sockets, which lie below TMPDIR, have paths that Linux can hold: 107 bytes."""
    variable, folder = temporary_folder()
    if not variable or uses_a_running_ray(config) or (spare := spare_bytes(folder)) >= 0:
        return []
    length = len(os.fsencode(folder))
    what = f"{folder} has {length} bytes; below it, Ray's sockets have no room for more than {length + spare}"
    return [Problem(variable, what, "set RAY_TMPDIR to a short path, such as /tmp")]


def check_disk(config: DictConfig, run_dir: Path, checkpoint: float | None) -> list[Problem]:
    """Check that the disks have room: one for the logs, one, or the same, for one checkpoint more than are kept.

    Args:
        config: the composed configuration.
        run_dir: where logs go.
        checkpoint: bytes of one, or None if neither the model's files nor its architecture are known.
    """
    saves = OmegaConf.select(config, "trainer.save_freq", default=-1) > 0
    kept = (OmegaConf.select(config, "trainer.max_actor_ckpt_to_keep") or 1) + 1 if saves else 0
    checkpoints = Path(OmegaConf.select(config, "trainer.default_local_dir", default=run_dir))
    wanted = {
        run_dir: (BYTES_BESIDE_CHECKPOINTS, "logs"),
        checkpoints: (kept * (checkpoint or 0), "checkpoints"),
    }
    if existing_folder(run_dir).stat().st_dev == existing_folder(checkpoints).stat().st_dev:
        wanted = {checkpoints: (sum(size for size, _ in wanted.values()), "logs and checkpoints")}
    problems = []
    for folder, (needed, what_for) in wanted.items():
        free = shutil.disk_usage(existing_folder(folder)).free
        if free < needed:
            problems.append(
                Problem(
                    str(folder),
                    f"{free / GIB:.1f} GiB free, about {needed / GIB:.1f} GiB needed for {what_for}",
                    "free some space, set RUN_DIR or CHECKPOINT_DIR to another disk, or save less often (SAVE_FREQ)",
                )
            )
    return problems


def check_ray(timeout_seconds: float = 3.0) -> list[Problem]:
    """Check that the cluster named by RAY_ADDRESS answers. Without one, verl starts Ray itself, on free ports."""
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address in ("auto", "local"):
        return []
    fix = "start the cluster (`ray start --head`), correct RAY_ADDRESS, or unset it to run on this machine alone"
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        return [Problem("RAY_ADDRESS", f"{address!r} is not host:port", fix)]
    if reason := answers(f"{host}:{port}", timeout_seconds):
        return [Problem("RAY_ADDRESS", f"no Ray cluster answers at {address} ({reason})", fix)]
    return []


def check_devices(config: DictConfig, device: str) -> list[Problem]:
    """Check that this machine has the devices of a launch, unless a Ray cluster has them.

    Args:
        config: the composed configuration.
        device: "cuda", "npu", or "cpu", which needs nothing.
    """
    if device == "cpu" or uses_a_running_ray(config):
        return []
    nodes, wanted = (OmegaConf.select(config, f"trainer.{key}", default=1) for key in ("nnodes", "n_gpus_per_node"))
    if nodes > 1:
        what = f"{nodes} machines are asked for, and RAY_ADDRESS is not set: verl would wait for ever on this one"
        fix = "start Ray on all machines, then set RAY_ADDRESS=<head>:6379 (auto on the head itself)"
        return [Problem("trainer.nnodes", what, fix)]
    found = visible_of(device, count_nvidia() if device == "cuda" else count_npus())
    if found >= wanted:
        return []
    elsewhere = "SMOKE=1 for a rehearsal on the CPU, or RAY_ADDRESS for a cluster"
    if found == 0:
        hidden = f" ({VISIBLE[device]}={os.environ[VISIBLE[device]]})" if VISIBLE[device] in os.environ else ""
        return [
            Problem("trainer.n_gpus_per_node", f"no {DEVICE_NAMES[device]} on this machine{hidden}", f"set {elsewhere}")
        ]
    what = f"{wanted} asked for, {found} {DEVICE_NAMES[device]}{'s' if found > 1 else ''} to be used on this machine"
    return [Problem("trainer.n_gpus_per_node", what, f"set NGPUS_PER_NODE={found}, {elsewhere}")]


def check_limits(config: DictConfig, device: str) -> list[Problem]:
    """Check the limits without which a run stops in its first step, unless it runs on a Ray cluster.

    Args:
        config: the composed configuration.
        device: "cuda", "npu", or "cpu", where no data goes through NCCL's shared memory.
    """
    if uses_a_running_ray(config):
        return []
    system = read_system()
    findings = [judge_open_files(system), *([judge_shared_memory(system)] if device != "cpu" else [])]
    return [Problem(found.item, found.evidence, found.remedy) for found in findings if found.status == FAIL]


# verl's name of a rollout engine -> what it imports.
ENGINE_PACKAGES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm"}


def check_engine(config: DictConfig) -> list[Problem]:
    """Check that this machine has the rollout engine's package, unless a Ray cluster has it."""
    name = OmegaConf.select(config, "actor_rollout_ref.rollout.name")
    package = ENGINE_PACKAGES.get(name)
    if package is None or uses_a_running_ray(config) or find_spec(package) is not None:
        return []
    fix = f"install it beside verl, or set ROLLOUT_ENGINE to one of {', '.join(ENGINE_PACKAGES)} that is installed"
    return [Problem("actor_rollout_ref.rollout.name", f"the Python package {package} is not installed", fix)]


def uses_a_running_ray(config: DictConfig) -> bool:
    """Say whether verl joins a running Ray, whose workers may be on other machines, instead of starting one."""
    addresses = (os.environ.get("RAY_ADDRESS"), OmegaConf.select(config, "ray_kwargs.ray_init.address"))
    return any(address and address != "local" for address in addresses)
