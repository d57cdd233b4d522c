"""What Linux gives a process here: limits, cores, memory, shared memory and disks."""

import os
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SHARED_MEMORY = Path("/dev/shm")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
INFINIBAND = Path("/sys/class/infiniband")
# More than any machine has: cgroup v1 writes "no limit" as a number of this size.
_UNLIMITED = 2**60

LIMITS = {
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "memlock": resource.RLIMIT_MEMLOCK,
    "core": resource.RLIMIT_CORE,
}


@dataclass(frozen=True)
class Disk:
    """The file system under a folder, which need not be there yet.

    Attributes:
        folder: as asked for.
        free, total: bytes.
        free_inodes: or None where the file system does not count them.
        writable: whether this process may write there, or make the folder.
    """

    folder: str
    free: int
    total: int
    free_inodes: int | None
    writable: bool


@dataclass(frozen=True)
class System:
    """Limits and sizes; sizes in bytes, None for "no limit".

    Attributes:
        python: version of the interpreter.
        executable: its path.
        limits: name -> (soft, hard).
        core_pattern: where the kernel puts core files.
        cores: of the machine.
        usable_cores: that this process may run on.
        quota: cores that the control group grants, or None.
        threads: OMP_NUM_THREADS, or None.
        memory: of the machine.
        memory_available: as the kernel estimates it.
        memory_limit: of the control group.
        pids_limit: processes and threads of the control group.
        shared_memory: (free, total) of /dev/shm, or None if there is none.
        infiniband: names of its devices.
    """

    python: str
    executable: str
    limits: dict[str, list[int | None]]
    core_pattern: str
    cores: int
    usable_cores: int
    quota: float | None
    threads: str | None
    memory: int
    memory_available: int
    memory_limit: int | None
    pids_limit: int | None
    shared_memory: list[int] | None
    infiniband: list[str]


def read_system() -> System:
    """Return the limits of this process."""
    limits = {name: [_limit(value) for value in resource.getrlimit(which)] for name, which in LIMITS.items()}
    memory = _memory()
    return System(
        python=".".join(map(str, sys.version_info[:3])),
        executable=sys.executable,
        limits=limits,
        core_pattern=_text(CORE_PATTERN),
        cores=os.cpu_count() or 1,
        usable_cores=len(os.sched_getaffinity(0)),
        quota=_quota(),
        threads=os.environ.get("OMP_NUM_THREADS"),
        memory=memory.get("MemTotal", 0),
        memory_available=memory.get("MemAvailable", 0),
        memory_limit=_smallest("memory.max", "memory/memory.limit_in_bytes"),
        pids_limit=_smallest("pids.max", "pids/pids.max"),
        shared_memory=_shared_memory(),
        infiniband=sorted(path.name for path in INFINIBAND.glob("*")),
    )


def read_disk(folder: Path) -> Disk:
    """Return the room under a folder, or under the nearest one above it that is there."""
    existing = existing_folder(folder)
    usage = shutil.disk_usage(existing)
    counted = os.statvfs(existing)
    return Disk(
        folder=str(folder),
        free=usage.free,
        total=usage.total,
        free_inodes=counted.f_favail if counted.f_files else None,
        writable=can_be_written(existing),
    )


def existing_folder(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(parent))


def can_be_written(folder: Path) -> bool:
    """Say whether files can be made in a folder; root, whom permissions do not stop, still fails on a read-only mount,
    or in a folder without any w bit.
    """
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        return False
    return not os.statvfs(folder).f_flag & os.ST_RDONLY and bool(folder.stat().st_mode & 0o222)


def hub_cache() -> Path:
    """Return the folder of the Hugging Face hub's cache, by the rules of ``huggingface_hub/constants.py``."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(base, "huggingface")
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(chosen)).expanduser()


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _memory() -> dict[str, int]:
    """Return the fields of /proc/meminfo, in bytes."""
    lines = (line.split() for line in _text(Path("/proc/meminfo")).splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3}


def _own_groups() -> list[Path]:
    """Return the folders of this process's control group in the unified hierarchy, from the inmost to the outmost."""
    line = next((line for line in _text(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::")), "0::/")
    inmost = CGROUPS / line.removeprefix("0::").lstrip("/")
    return [folder for folder in (inmost, *inmost.parents) if folder == CGROUPS or CGROUPS in folder.parents]


def _smallest(unified: str, legacy: str) -> int | None:
    """Return the smallest limit on the way up from this process's control group, or None if there is none."""
    texts = [_text(folder / unified) for folder in _own_groups()] + [_text(CGROUPS / legacy)]
    values = [int(text) for text in texts if text.isdecimal() and int(text) < _UNLIMITED]
    return min(values, default=None)


def _quota() -> float | None:
    """Return the cores that the control group grants: a quota of microseconds a period of them."""
    shares = [_text(folder / "cpu.max").split() for folder in _own_groups()]
    shares.append([_text(CGROUPS / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")])
    granted = [int(share[0]) / int(share[1]) for share in shares if len(share) == 2 and all(map(str.isdecimal, share))]
    return min(granted, default=None)


def _shared_memory() -> list[int] | None:
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
    except OSError:
        return None
    return [usage.free, usage.total]
