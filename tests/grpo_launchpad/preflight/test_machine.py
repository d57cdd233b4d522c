"""Devices that are not there. Disk and Ray are tested with the other checks."""

from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from grpo_launchpad.doctor import accelerators
from grpo_launchpad.doctor.system import read_system
from grpo_launchpad.preflight import machine
from grpo_launchpad.preflight.machine import check_devices, check_limits

GPU = "GPU {}: NVIDIA H100 80GB HBM3 (UUID: GPU-0000-{})\n"
MIG = "  MIG 1g.10gb     Device  0: (UUID: MIG-0000)\n"
NPU = """\
| {}     910B3             | OK            | 93.6        49                0    / 0             |
| 0                       | 0000:C{}:00.0  | 0           0    / 0          3349 / 65536         |
"""


class Machine:
    def __init__(self, folder, monkeypatch):
        self.bin, self.dev = folder / "bin", folder / "dev"
        self.bin.mkdir()
        self.dev.mkdir()
        self.setenv = monkeypatch.setenv
        monkeypatch.setenv("PATH", f"{self.bin}:/bin:/usr/bin")
        monkeypatch.setattr(accelerators, "NPU_FILES", self.dev)
        for name in ("RAY_ADDRESS", *accelerators.VISIBLE.values()):
            monkeypatch.delenv(name, raising=False)

    def program(self, name, output, status=0):
        (self.bin / f"{name}.txt").write_text(output)
        program = self.bin / name
        program.write_text(f"#!/bin/sh\ncat '{self.bin}/{name}.txt'\nexit {status}\n")
        program.chmod(0o755)

    def gpus(self, count):
        self.program("nvidia-smi", "".join(GPU.format(index, index) + MIG for index in range(count)))


@pytest.fixture
def computer(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def problems_of(device="cuda", nodes=1, per_node=8, address=None):
    config = {"trainer": {"nnodes": nodes, "n_gpus_per_node": per_node}}
    if address:
        config["ray_kwargs"] = {"ray_init": {"address": address}}
    return check_devices(OmegaConf.create(config), device)


def test_enough_devices_are_accepted(computer):
    computer.gpus(8)
    assert problems_of() == []
    assert problems_of(per_node=9) != []


def test_a_machine_without_a_gpu_is_told_what_runs_without_one(computer):
    (problem,) = problems_of()
    assert problem.where == "trainer.n_gpus_per_node"
    assert problem.what == "no NVIDIA GPU on this machine"
    assert "SMOKE=1" in problem.fix
    assert "RAY_ADDRESS" in problem.fix
    assert "NGPUS_PER_NODE" not in problem.fix


def test_a_driver_that_fails_is_no_gpu(computer):
    computer.program("nvidia-smi", GPU.format(0, 0), status=9)
    assert "no NVIDIA GPU" in problems_of(per_node=1)[0].what


def test_too_few_devices_are_counted(computer):
    computer.gpus(4)
    (problem,) = problems_of()
    assert problem.what == "8 asked for, 4 NVIDIA GPUs to be used on this machine"
    assert "NGPUS_PER_NODE=4" in problem.fix


@pytest.mark.parametrize(
    ("visible", "count"),
    [("0,1", 2), ("", 0), ("-1", 0), ("3", 1), ("0,9,1", 1), ("GPU-0000-0,GPU-0000-1,GPU-0000-2", 3), ("0, 1 ,2", 3)],
)
def test_only_visible_devices_count(computer, visible, count):
    computer.gpus(4)
    computer.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert count == 0 or problems_of(per_node=count) == []
    assert problems_of(per_node=count + 1) != []


def test_npus_are_counted_by_their_files_or_by_what_npu_smi_lists(computer):
    assert "no Ascend NPU on this machine" in problems_of("npu")[0].what
    computer.program("npu-smi", "".join(NPU.format(index, index) for index in range(8)))
    assert problems_of("npu") == []
    for index in range(2):
        (computer.dev / f"davinci{index}").touch()
    (computer.dev / "davinci_manager").touch()
    assert "2 Ascend NPUs" in problems_of("npu")[0].what
    computer.setenv("ASCEND_RT_VISIBLE_DEVICES", "1")
    assert problems_of("npu", per_node=1) == []


def test_the_cpu_needs_no_device(computer):
    assert problems_of("cpu", nodes=2) == []


def test_a_cluster_has_the_devices(computer):
    computer.setenv("RAY_ADDRESS", "head:6379")
    assert problems_of(nodes=4) == []
    computer.setenv("RAY_ADDRESS", "local")
    assert problems_of() != []
    assert problems_of(nodes=2, address="local") != []
    assert problems_of(nodes=2, address="auto") == []


def test_several_machines_need_a_cluster(computer):
    computer.gpus(8)
    (problem,) = problems_of(nodes=2)
    assert problem.where == "trainer.nnodes"
    assert "start Ray on all machines" in problem.fix
    assert "RAY_ADDRESS" in problem.fix


def test_limits_that_stop_a_run_in_its_first_step_are_refused(monkeypatch):
    little = replace(read_system(), limits={"nofile": [1024, 1024]}, shared_memory=[2**26, 2**26])
    monkeypatch.setattr(machine, "read_system", lambda: little)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = OmegaConf.create({})
    assert [problem.where for problem in check_limits(config, "cuda")] == ["open files", "/dev/shm"]
    assert [problem.where for problem in check_limits(config, "cpu")] == ["open files"]
    assert "--shm-size" in check_limits(config, "npu")[1].fix
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert check_limits(config, "cuda") == []
