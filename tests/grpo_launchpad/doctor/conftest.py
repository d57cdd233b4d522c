"""A machine whose parts a test chooses: programs, folders of the kernel, variables."""

import os
from pathlib import Path

import pytest

from grpo_launchpad.doctor import accelerators, network, ray_cluster, system
from grpo_launchpad.doctor.facts import gather
from grpo_launchpad.doctor.judge import judge

GPU = "{index}, GPU-{index}, NVIDIA H100 80GB HBM3, 81559, {used}, 570.124.06, {mig}, {errors}"
TABLE = "| NVIDIA-SMI 570.124.06   Driver Version: 570.124.06   CUDA Version: {cuda}     |"
SMI = """#!/bin/sh
case "$*" in
--query-gpu=*) cat '{folder}/gpus' ;;
--query-compute-apps=*) cat '{folder}/apps' ;;
-L) sed 's/^/GPU /' '{folder}/gpus' ;;
*) cat '{folder}/table' ;;
esac
exit {status}
"""
NPU = """\
| npu-smi 25.5.0                   Version: 25.5.0                                              |
| {index}     910B3             | {health:13} | 93.6        49                0    / 0             |
| 0                       | 0000:C{index}:00.0  | 0           0    / 0          {used} / 65536         |
"""


class Machine:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.bin, self.dev, self.groups, self.ray = (folder / name for name in ("bin", "dev", "cgroup", "tmp"))
        for each in (self.bin, self.dev, self.groups, self.ray):
            each.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:/bin:/usr/bin")
        monkeypatch.setenv("RAY_TMPDIR", str(self.ray))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(accelerators, "NPU_FILES", self.dev)
        monkeypatch.setattr(accelerators, "CANN_FOLDER", folder / "cann")
        monkeypatch.setattr(system, "CGROUPS", self.groups)
        monkeypatch.setattr(system, "INFINIBAND", folder / "infiniband")
        monkeypatch.setattr(ray_cluster, "PROCESSES", folder / "processes")
        unset = [*accelerators.VISIBLE.values(), *network.CHOOSERS, "RAY_ADDRESS", "OMP_NUM_THREADS", "TMPDIR"]
        unset += [
            "ASCEND_TOOLKIT_HOME",
            "ASCEND_HOME_PATH",
            "HF_ENDPOINT",
            "MODELSCOPE_ENDPOINT",
            "no_proxy",
            "NO_PROXY",
        ]
        unset += [name for each in network.PROXIES for name in (each, each.upper())]
        for name in unset:
            monkeypatch.delenv(name, raising=False)
        self.setenv = monkeypatch.setenv

    def program(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)

    def gpus(self, count=8, used=3, mig="Disabled", errors="0", cuda="13.0", apps="", status=0) -> None:
        rows = [GPU.format(index=index, used=used, mig=mig, errors=errors) for index in range(count)]
        for name, text in (("gpus", "\n".join(rows) + "\n"), ("apps", apps), ("table", TABLE.format(cuda=cuda))):
            (self.bin / name).write_text(text)
        self.program("nvidia-smi", SMI.format(folder=self.bin, status=status))

    def npus(self, count=8, used=3349, health="OK") -> None:
        text = "".join(NPU.format(index=index, used=used, health=health) for index in range(count))
        self.program("npu-smi", f"#!/bin/sh\ncat <<'END'\n{text}END\n")

    def file(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def facts(self, **options):
        return gather(runs=self.folder / "runs", **options)

    def finding(self, item: str, **options):
        (found,) = [each for each in judge(self.facts(**options)) if each.item == item]
        return found


@pytest.fixture
def machine(tmp_path_factory, monkeypatch):
    assert os.path.isdir("/proc")
    return Machine(tmp_path_factory.mktemp("m"), monkeypatch)
