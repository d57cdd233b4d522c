"""Accelerators by the names that people, drivers and headers give them."""

import pytest

from grpo_launchpad.estimate.devices import DEVICES, GIB, UnknownDeviceError, device_of, of_memory
from grpo_launchpad.estimate.hardware import choose, stated_in


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("A100-40", "A100-40"),
        ("a100 40gb", "A100-40"),
        ("NVIDIA A100-SXM4-40GB", "A100-40"),
        ("NVIDIA A100-SXM4-80GB", "A100-80"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H20", "H20"),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("AMD Instinct MI300X", "MI300X"),
        ("Ascend910B3", "910B"),
    ],
)
def test_a_device_by_its_names(name, device):
    assert device_of(name).name == device


@pytest.mark.parametrize("name", ["", "V100", "H1000", "gpu"])
def test_an_unknown_device_is_refused_with_those_that_are_known(name):
    with pytest.raises(UnknownDeviceError, match="A100-80"):
        device_of(name)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_a_device_has_a_little_less_than_its_name_says(device):
    assert 0.9 * device.nominal * 1e9 < device.memory < 1.08 * device.nominal * 1e9
    assert device_of(device.name) is device
    assert device.source


def test_a_header_names_the_memory_of_devices_and_of_the_host():
    stated = stated_in(["GRPO | X", "Hardware: 1 node of 8 GPUs with 80 GB and 1 TB of memory. Time: not published."])
    assert (stated.device.name, stated.host) == ("A100-80", 1e12)
    assert stated_in(["Hardware: one GPU with 24 GB. Time: 3 h"]).device.memory < 24 * GIB
    assert stated_in(["Hardware: 16 NPUs with 64 GB (Atlas A3)"]).device.kind == "npu"
    assert stated_in(["Hardware: 2 CPU cores, 12 GiB of memory."]).device is None
    assert of_memory(17) is None


def test_the_device_that_is_named_beats_the_headers(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda program: None)
    header = ["Hardware: 8 GPUs with 80 GB."]
    assert choose({"DEVICE": "h200"}, "cuda", header).device.name == "H200"
    assert choose({}, "cuda", header).device.name == "A100-80"
    assert choose({"DEVICE": "h200"}, "cpu", header).device is None
    assert choose({}, "cuda", []).device is None
    assert choose({"DEVICE": "cuda:0"}, "cuda", header).device.name == "A100-80"  # other programs' DEVICE names a kind


def test_the_gpu_of_this_machine_beats_the_headers(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-0)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert choose({}, "cuda", ["8 GPUs with 80 GB"]).device.name == "H200"
    program.write_text("#!/bin/sh\necho 'GPU 0: Some GPU (UUID: GPU-0)'\n")
    chosen = choose({}, "cuda", ["8 GPUs with 80 GB"])
    assert chosen.device is None
    assert "Some GPU" in chosen.origin
