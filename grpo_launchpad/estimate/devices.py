"""The accelerators an estimate knows: memory, bandwidth, arithmetic and links, one row each.

Memory is what PyTorch reports as the device's total, which is less than its name says. Arithmetic is the dense peak in
bf16, not the doubled one with sparsity. The link is one direction, of one device to all others of its machine.
"""

import difflib
import re
from dataclasses import dataclass

GIB = 2**30
GB = 10**9


class UnknownDeviceError(ValueError):
    """There is no such device in the table; the text names those that are most like it."""


@dataclass(frozen=True)
class Device:
    """One accelerator.

    Attributes:
        name: as a user writes it, "A100-40".
        memory: bytes that a process can use.
        bandwidth: bytes a second from its own memory.
        flops: dense bf16 operations a second.
        link: bytes a second to the other devices of its machine, one direction.
        kind: "cuda" or "npu", as launchers name it; AMD's GPUs are "cuda" to PyTorch.
        nominal: gigabytes in its name.
        source: where the numbers are from.
        other_names: under which it is asked for, in lower case.
    """

    name: str
    memory: int
    bandwidth: float
    flops: float
    link: float
    kind: str
    nominal: int
    source: str
    other_names: tuple[str, ...] = ()


def _device(
    name: str,
    gib: float,
    tb_s: float,
    tflops: float,
    link_gb_s: float,
    nominal: int,
    source: str,
    *other_names: str,
    kind: str = "cuda",
) -> Device:
    return Device(
        name=name,
        memory=round(gib * GIB),
        bandwidth=tb_s * 1e12,
        flops=tflops * 1e12,
        link=link_gb_s * GB,
        kind=kind,
        nominal=nominal,
        source=source,
        other_names=other_names,
    )


# GiB that PyTorch reports, TB/s, bf16 TFLOP/s, GB/s of links in one direction.
DEVICES: tuple[Device, ...] = (
    _device("H100", 79.2, 3.35, 989, 450, 80, "NVIDIA H100 data sheet (SXM5)", "h100-80", "h100-sxm"),
    _device("H200", 139.8, 4.8, 989, 450, 141, "NVIDIA H200 data sheet (SXM)", "h200-141", "h200-sxm"),
    _device("H800", 79.2, 3.35, 989, 200, 80, "NVIDIA H800 data sheet (SXM5; NVLink of 400 GB/s)", "h800-80"),
    _device("H20", 95.1, 4.0, 148, 450, 96, "NVIDIA H20 data sheet (96 GB HBM3)", "h20-96"),
    _device("A100-80", 79.2, 2.04, 312, 300, 80, "NVIDIA A100 80GB data sheet (SXM4)", "a100", "a800", "a800-80"),
    _device("A100-40", 39.4, 1.555, 312, 300, 40, "NVIDIA A100 40GB data sheet (SXM4)"),
    _device("L40S", 44.4, 0.864, 362, 32, 48, "NVIDIA L40S data sheet (PCIe 4.0 x16, no NVLink)", "l40s-48"),
    _device("4090", 23.6, 1.008, 165, 32, 24, "NVIDIA Ada architecture white paper, RTX 4090", "rtx4090", "4090-24"),
    _device("3090", 23.7, 0.936, 71, 32, 24, "NVIDIA Ampere GA102 white paper, RTX 3090", "rtx3090", "3090-24"),
    _device("B200", 178.4, 8.0, 2250, 900, 192, "NVIDIA DGX B200 data sheet", "b200-180", "b200-192"),
    _device("MI300X", 191.5, 5.3, 1307, 448, 192, "AMD Instinct MI300X data sheet", "mi300x-192", "mi300"),
    _device(
        "910B",
        61.3,
        1.6,
        354,
        196,
        64,
        "Atlas 800T A2 data sheet; arithmetic as verl 0.9.1 utils/flops_counter.py has it",
        "ascend910b",
        "910b-64",
        "910b3",
        "a2",
        kind="npu",
    ),
    # Two dies in a package, each a device of its own to CANN and PyTorch.
    _device(
        "910C",
        61.3,
        1.6,
        376,
        196,
        64,
        "one of the two dies; arXiv 2506.12708 table 1 (752 TFLOP/s, 3.2 TB/s a package)",
        "ascend910c",
        "910c-64",
        "a3",
        kind="npu",
    ),
)


def device_of(name: str) -> Device:
    """Return a device by its name: "A100-40", "a100 40gb", "NVIDIA H100 80GB HBM3".

    Raises:
        UnknownDeviceError: if the table does not have it.
    """
    wanted = _plain(name)
    by_name = {_plain(each): device for device in DEVICES for each in (device.name, *device.other_names)}
    if wanted in by_name:
        return by_name[wanted]
    known = ", ".join(device.name for device in DEVICES)
    near = difflib.get_close_matches(wanted, by_name, n=1, cutoff=0.6)
    hint = f" (is {by_name[near[0]].name} meant?)" if near else ""
    raise UnknownDeviceError(f"{name!r} is no device of the table{hint}: {known}")


def _plain(name: str) -> str:
    """Return a name as the table compares it, without maker, form and kind of memory: "a10040"."""
    text = re.sub(r"nvidia|amd|instinct|huawei|geforce|ascend|tesla|sxm\d?|pcie|hbm\w*|oam", "", name.lower())
    return re.sub(r"[^a-z0-9]|gi?b(?![0-9a-z])", "", text)


def of_memory(gigabytes: int, kind: str = "cuda") -> Device | None:
    """Return a device by the gigabytes that launchers' headers name ("8 GPUs with 80 GB"), the slowest if several.

    Args:
        gigabytes: nominal.
        kind: "cuda" or "npu".
    """
    fitting = [device for device in DEVICES if device.nominal == gigabytes and device.kind == kind]
    return min(fitting, key=lambda device: (device.memory, device.flops), default=None)
