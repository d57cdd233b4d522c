"""The accelerators of this machine, as the programs of their drivers describe them; no library of theirs is loaded."""

import csv
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

DRIVER_SECONDS = 30  # the first question to a driver that sleeps takes some
NPU_FILES = Path("/dev")
DEVICE_NAMES = {"cuda": "NVIDIA GPU", "npu": "Ascend NPU"}
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
CANN_FOLDER = Path("/usr/local/Ascend/ascend-toolkit/latest")

_BUS = re.compile(r"\b[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\b")
_GPU_FIELDS = ("index", "uuid", "name", "memory.total", "memory.used", "driver_version", "mig.mode.current")
_GPU_ERRORS = "ecc.errors.uncorrected.volatile.total"
# Two lines a chip: "| 0  910B3 | OK | ... |" and "| 0 | 0000:C1:00.0 | 0  0 / 0  3349 / 65536 |".
_NPU_NAME = re.compile(r"^\|\s*(\d+)\s+(\S+)\s*\|\s*(\w+)\s*\|")
_NPU_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)\s*\|\s*$")


@dataclass(frozen=True)
class Accelerator:
    """One device.

    Attributes:
        index: as the driver counts it.
        name: as the driver names it.
        memory_mib: of the whole device.
        used_mib: by anybody, the driver's own part included.
        error: what the driver says is wrong with it, or "".
    """

    index: int
    name: str
    memory_mib: int
    used_mib: int
    error: str = ""


@dataclass(frozen=True)
class Accelerators:
    """All devices of a machine, and the software that drives them.

    Attributes:
        kind: "cuda", "npu", or "cpu" if there is no device.
        devices: in the driver's order; empty if its program is missing or fails.
        count: of devices, by the question that a launch asks as well; 0 beside a ``failure``.
        driver: its version, or "".
        toolkit: the newest CUDA that the driver knows, or the version of CANN; "" if not found.
        visible: what CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES says, or None.
        processes: "PID NAME MiB" of what computes on the GPUs and may be seen from here.
        failure: the last line of a driver's program that is there and failed, or "".
    """

    kind: str = "cpu"
    devices: list[Accelerator] = field(default_factory=list)
    count: int = 0
    driver: str = ""
    toolkit: str = ""
    visible: str | None = None
    processes: list[str] = field(default_factory=list)
    failure: str = ""


def find_accelerators() -> Accelerators:
    """Return the NVIDIA GPUs, else the Ascend NPUs, else none."""
    nvidia = _nvidia()
    if nvidia.devices or nvidia.failure:
        return nvidia
    npu = _npu()
    return npu if npu.count or npu.failure else Accelerators()


def count_nvidia() -> int:
    lines = answer_of("nvidia-smi", "-L").splitlines()
    return sum(line.startswith("GPU ") for line in lines)


def count_npus() -> int:
    """Count the chips: by their device files, or, where those have other names, by the buses that npu-smi lists."""
    return len(list(NPU_FILES.glob("davinci[0-9]*"))) or len(_BUS.findall(answer_of("npu-smi", "info")))


def visible_of(device: str, found: int) -> int:
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


def answer_of(*command: str) -> str:
    """Return what a program prints, or nothing if it is not there, fails or hangs."""
    return _ask(*command)[0]


def _ask(*command: str) -> tuple[str, str]:
    """Return what a program prints, and, if it is there and fails, why."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=DRIVER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {DRIVER_SECONDS} s"
    except FileNotFoundError:
        return "", ""
    except OSError as error:
        return "", str(error)
    if done.returncode == 0:
        return done.stdout, ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "", said[-1] if said else f"exit code {done.returncode}"


def _nvidia() -> Accelerators:
    """Ask nvidia-smi three questions at once: each takes a second on a machine whose driver is not kept loaded."""
    plain = "--format=csv,noheader,nounits"
    questions = (
        (f"--query-gpu={','.join((*_GPU_FIELDS, _GPU_ERRORS))}", plain),
        (),  # the table, whose head is the only place for the newest CUDA that the driver knows
        ("--query-compute-apps=pid,process_name,used_gpu_memory", plain),
    )
    with ThreadPoolExecutor(len(questions)) as pool:
        (rows, failure), (table, _), (apps, _) = pool.map(lambda words: _ask("nvidia-smi", *words), questions)
    devices, driver = [], ""
    for row in csv.reader(rows.splitlines(), skipinitialspace=True):
        if len(row) != len(_GPU_FIELDS) + 1:
            continue
        index, _, name, total, used, driver, mig, errors = row
        wrong = f"{errors} uncorrected memory errors" if _number(errors) else ""
        wrong = wrong or ("MIG is on" if mig == "Enabled" else "")
        devices.append(Accelerator(_number(index), name, _number(total), _number(used), wrong))
    cuda = re.search(r"CUDA (?:\w+ )?Version: *([\d.]+)", table)
    return Accelerators(
        kind="cuda",
        devices=devices,
        count=len(devices),
        driver=driver,
        toolkit=cuda[1] if cuda else "",
        visible=os.environ.get(VISIBLE["cuda"]),
        processes=[" ".join(row) for row in csv.reader(apps.splitlines(), skipinitialspace=True) if len(row) == 3],
        failure=failure,
    )


def _npu() -> Accelerators:
    table, failure = _ask("npu-smi", "info")
    devices, name, health = [], "", ""
    for line in table.splitlines():
        if found := _NPU_NAME.match(line):
            name, health = found[2], found[3]
        elif _BUS.search(line) and (memory := _NPU_MEMORY.search(line)):
            wrong = "" if health == "OK" else f"health {health}"
            devices.append(Accelerator(len(devices), name, int(memory[2]), int(memory[1]), wrong))
    version = re.search(r"npu-smi\s+(\S+)", table)
    return Accelerators(
        kind="npu",
        devices=devices,
        count=len(devices) or count_npus(),
        driver=version[1] if version else "",
        toolkit=_cann(),
        visible=os.environ.get(VISIBLE["npu"]),
        failure=failure,
    )


def _cann() -> str:
    """Return CANN's version by the files that its installer leaves, or ""."""
    chosen = os.environ.get("ASCEND_TOOLKIT_HOME") or os.environ.get("ASCEND_HOME_PATH")
    folder = Path(chosen) if chosen else CANN_FOLDER
    for file in (*folder.glob("*-linux/ascend_toolkit_install.info"), folder / "version.cfg"):
        try:
            found = re.search(r"^version=(\S+)|\[([\w.]+):", file.read_text(errors="replace"), re.MULTILINE)
        except OSError:
            continue
        if found:
            return found[1] or found[2]
    return ""


def _number(text: str) -> int:
    """Return a count; 0 for what a driver does not know, such as "[N/A]"."""
    return int(text) if text.strip().isdecimal() else 0
