"""Which accelerator a launch is estimated for: the one that is named, this machine's, or the launcher header's."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpo_launchpad.doctor.accelerators import answer_of
from grpo_launchpad.estimate.devices import Device, UnknownDeviceError, device_of, of_memory

VARIABLE = "DEVICE"
# "8 GPUs with 80 GB", "one GPU with 24 GB", "16 NPUs with 64 GB"
DEVICE_MEMORY = re.compile(r"\b(?P<kind>GPU|NPU)s? with (?P<gigabytes>\d+) GB")
# What other programs have in a variable of this name; it names a kind, and no accelerator.
KIND = re.compile(r"(cuda|gpu|cpu|npu|auto)(:\d+)?", re.IGNORECASE)
HOST_MEMORY = re.compile(r"and (?P<size>[\d.]+) (?P<unit>GB|TB) of (?:host )?memory")


@dataclass(frozen=True)
class Chosen:
    """The accelerator of an estimate.

    Attributes:
        device: None if none is known.
        origin: where it is known from, for a reader.
    """

    device: Device | None
    origin: str


@dataclass(frozen=True)
class Stated:
    """What a launcher's header says that it needs.

    Attributes:
        device: None if it names no memory of devices, or one that no device of the table has.
        host: bytes of a machine's memory; None if it names none.
    """

    device: Device | None
    host: float | None


def stated_in(header: Sequence[str]) -> Stated:
    """Read the "Hardware:" line of a launcher's header, and those that go on with it."""
    text = " ".join(header)
    hardware = text.partition("Hardware: ")[2].partition(" Time: ")[0].partition(" Differs ")[0]
    found, host = DEVICE_MEMORY.search(hardware), HOST_MEMORY.search(hardware)
    device = None
    if found:
        device = of_memory(int(found["gigabytes"]), "npu" if found["kind"] == "NPU" else "cuda")
    size = float(host["size"]) * (1e12 if host["unit"] == "TB" else 1e9) if host else None
    return Stated(device, size)


def named_in(variables: Mapping[str, str]) -> Device | None:
    """Return the accelerator that the environment names, or None.

    Raises:
        UnknownDeviceError: if it names one that the table does not have.
    """
    name = variables.get(VARIABLE, "").strip()
    return device_of(name) if name and not KIND.fullmatch(name) else None


def choose(variables: Mapping[str, str], kind: str, header: Sequence[str]) -> Chosen:
    """Return the accelerator to estimate for.

    Args:
        variables: the environment; DEVICE names an accelerator.
        kind: of the launch: "cuda", "npu", or "cpu", which has none.
        header: the launcher's.

    Raises:
        UnknownDeviceError: if DEVICE names one that the table does not have.
    """
    if kind == "cpu":
        return Chosen(None, "a CPU run")
    if (device := named_in(variables)) is not None:
        return Chosen(device, f"{VARIABLE}={variables[VARIABLE].strip()}")
    if kind == "cuda" and (name := _gpu_of_this_machine()):
        try:
            return Chosen(device_of(name), "of this machine")
        except UnknownDeviceError:
            return Chosen(None, f"{name} is not in the table of devices")
    stated = stated_in(header)
    if stated.device is not None:
        return Chosen(stated.device, f"the launcher's header: {stated.device.nominal} GB")
    return Chosen(None, f"set {VARIABLE}=H100, for instance")


def _gpu_of_this_machine() -> str:
    """Return the name of the first NVIDIA GPU, or "" if there is none that answers."""
    found = re.search(r"^GPU \d+: (.+?) \(UUID", answer_of("nvidia-smi", "-L"), re.MULTILINE)
    return found[1] if found else ""
