"""Checks of the machine: its devices, room on the disk, and a Ray cluster that answers."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.preflight.problem import Problem

GIB = 2**30
# A checkpoint holds the weights and two Adam moments in fp32: 12 bytes a parameter.
CHECKPOINT_BYTES_PER_PARAMETER = 12
# Logs, rollouts and metrics of a run.
BYTES_BESIDE_CHECKPOINTS = GIB // 4

SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its end
DRIVER_SECONDS = 30  # the first question to a driver that sleeps takes some
NPU_FILES = Path("/dev")
DEVICE_NAMES = {"cuda": "NVIDIA GPU", "npu": "Ascend NPU"}
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
BUS = re.compile(r"\b[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\b")


def check_folders(folders: Iterable[Path]) -> list[Problem]:
    """Check that what a run writes to are folders that can be written, or can be made."""
    problems = []
    for folder in dict.fromkeys(folders):
        existing = _existing(folder)
        fix = "set RUN_DIR or CHECKPOINT_DIR to a folder that can be written"
        if not existing.is_dir():
            problems.append(Problem(str(folder), f"{existing} is a file", fix))
        elif not os.access(existing, os.W_OK | os.X_OK) or _is_read_only(existing):
            problems.append(Problem(str(folder), f"{existing} cannot be written", fix))
    return problems


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))


def _is_read_only(folder: Path) -> bool:
    """Say whether root, whom permissions do not stop, would still fail: on a read-only mount, or without any w bit."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY) or not folder.stat().st_mode & 0o222


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
    """Check that Ray's sockets, which lie below TMPDIR, have paths that Linux can hold: 107 bytes.

    Source: ``ray/_private/utils.py``, validate_socket_filepath; the session's name is of ``ray/_private/node.py``.
    """
    variable = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "TMPDIR"
    folder = os.environ.get(variable, "")
    if not folder or uses_a_running_ray(config):
        return []
    longest = f"{folder}/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    if len(os.fsencode(longest)) <= SOCKET_PATH_BYTES:
        return []
    room = SOCKET_PATH_BYTES - len(longest) + len(folder)
    what = (
        f"{folder} has {len(os.fsencode(folder))} characters; below it, Ray's sockets have no room for more than {room}"
    )
    return [Problem(variable, what, "set RAY_TMPDIR to a short path, such as /tmp")]


def check_disk(config: DictConfig, run_dir: Path, parameters: int | None) -> list[Problem]:
    """Check that the disks have room: one for the logs, one, or the same, for one checkpoint more than are kept.

    Args:
        config: the composed configuration.
        run_dir: where logs go.
        parameters: the model's parameter count, or None if neither its files nor its architecture are known.
    """
    saves = OmegaConf.select(config, "trainer.save_freq", default=-1) > 0
    kept = (OmegaConf.select(config, "trainer.max_actor_ckpt_to_keep") or 1) + 1 if saves else 0
    checkpoints = Path(OmegaConf.select(config, "trainer.default_local_dir", default=run_dir))
    wanted = {
        run_dir: (BYTES_BESIDE_CHECKPOINTS, "logs"),
        checkpoints: (kept * CHECKPOINT_BYTES_PER_PARAMETER * (parameters or 0), "checkpoints"),
    }
    if _existing(run_dir).stat().st_dev == _existing(checkpoints).stat().st_dev:
        wanted = {checkpoints: (sum(size for size, _ in wanted.values()), "logs and checkpoints")}
    problems = []
    for folder, (needed, what_for) in wanted.items():
        free = shutil.disk_usage(_existing(folder)).free
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
    found = _visible(device, _count_nvidia() if device == "cuda" else _count_npus())
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


def _count_nvidia() -> int:
    lines = _answer("nvidia-smi", "-L").splitlines()
    return sum(line.startswith("GPU ") for line in lines)


def _count_npus() -> int:
    """Count the chips: by their device files, or, where those have other names, by the buses that npu-smi lists."""
    files = len(list(NPU_FILES.glob("davinci[0-9]*")))
    return files or len(BUS.findall(_answer("npu-smi", "info")))


def _answer(*command: str) -> str:
    """Return what a program prints, or nothing if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DRIVER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _visible(device: str, found: int) -> int:
    """Return how many of the devices the environment lets a process see; the first wrong entry ends its list."""
    chosen = os.environ.get(VISIBLE[device])
    if chosen is None:
        return found
    count = 0
    for entry in map(str.strip, chosen.split(",")):
        if not entry or entry == "-1" or (entry.isdecimal() and int(entry) >= found):
            break
        count += 1
    return count if found else 0
