"""Devices, their memory and their drivers, as fakes of nvidia-smi and npu-smi describe them."""

import pytest

from grpo_launchpad.doctor import facts


def test_without_a_driver_the_machine_is_a_cpu(machine):
    found = machine.facts().accelerators
    assert (found.kind, found.devices, found.failure) == ("cpu", [], "")
    assert machine.finding("devices").status == "ok"


def test_gpus_are_described(machine):
    machine.gpus(8)
    found = machine.facts().accelerators
    assert (found.kind, found.count, found.driver, found.toolkit) == ("cuda", 8, "570.124.06", "13.0")
    assert [each.index for each in found.devices] == list(range(8))
    assert found.devices[0].memory_mib == 81559
    finding = machine.finding("devices")
    assert (finding.status, finding.evidence) == ("ok", "8 NVIDIA GPUs: NVIDIA H100 80GB HBM3, 80 GiB")
    assert machine.finding("device memory").status == "ok"


def test_memory_in_use_is_named_with_who_uses_it_and_what_is_free(machine):
    machine.gpus(1, used=40000, apps="4711, /usr/bin/python3, 39000\n")
    finding = machine.finding("device memory")
    assert finding.status == "warn"
    assert "0: 39.1 of 80 GiB" in finding.evidence
    assert "4711 /usr/bin/python3 39000" in finding.evidence
    assert "CUDA_VISIBLE_DEVICES" not in finding.remedy  # there is no free one
    machine.gpus(2)
    rows = (machine.bin / "gpus").read_text().splitlines()
    (machine.bin / "gpus").write_text(rows[0].replace(" 3,", " 70000,") + "\n" + rows[1])
    assert "CUDA_VISIBLE_DEVICES=1" in machine.finding("device memory").remedy


@pytest.mark.parametrize(
    ("options", "said", "remedy"),
    [
        ({"mig": "Enabled"}, "MIG is on", "nvidia-smi -mig 0"),
        ({"errors": "12"}, "12 uncorrected memory errors", "take the device out"),
    ],
)
def test_a_device_that_is_wrong_fails(machine, options, said, remedy):
    machine.gpus(2, **options)
    finding = machine.finding("devices")
    assert finding.status == "fail"
    assert said in finding.evidence
    assert remedy in finding.remedy


def test_what_a_driver_does_not_know_is_no_error(machine):
    machine.gpus(1, used="[N/A]", mig="[N/A]", errors="[Not Supported]")
    assert machine.finding("devices").status == "ok"
    assert machine.finding("device memory").status == "ok"


def test_a_driver_that_fails_fails(machine):
    machine.program(
        "nvidia-smi", "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n"
    )
    finding = machine.finding("devices")
    assert finding.status == "fail"
    assert "version mismatch" in finding.evidence


@pytest.mark.parametrize(
    ("torch_cuda", "driver_cuda", "status"),
    [
        ("12.9", "13.0", "ok"),
        ("13.0", "13.1", "ok"),
        ("12.9", "12.4", "ok"),
        ("13.0", "12.8", "fail"),
        ("", "13.0", "fail"),
    ],
)
def test_the_driver_has_to_know_the_cuda_of_torch(machine, monkeypatch, torch_cuda, driver_cuda, status):
    machine.gpus(1, cuda=driver_cuda)
    monkeypatch.setattr(facts, "cuda_of_torch", lambda: torch_cuda)
    assert machine.finding("driver and CUDA").status == status


def test_npus_are_described(machine):
    machine.npus(8)
    machine.file("cann/aarch64-linux/ascend_toolkit_install.info", "package_name=Ascend\nversion=8.5.0\n")
    found = machine.facts().accelerators
    assert (found.kind, found.count, found.driver, found.toolkit) == ("npu", 8, "25.5.0", "8.5.0")
    assert (found.devices[3].name, found.devices[3].memory_mib, found.devices[3].used_mib) == ("910B3", 65536, 3349)
    assert machine.finding("devices").evidence == "8 Ascend NPUs: 910B3, 64 GiB"
    assert machine.finding("driver and CANN").evidence == "npu-smi 25.5.0, CANN 8.5.0"


def test_npus_need_cann_and_health(machine):
    machine.npus(1, health="Alarm")
    assert machine.finding("driver and CANN").status == "fail"
    assert "health Alarm" in machine.finding("devices").evidence
    machine.file("toolkit/version.cfg", "# version: 1.0\nruntime_running_version=[8.3.RC1:CANN]\n")
    machine.setenv("ASCEND_TOOLKIT_HOME", str(machine.folder / "toolkit"))
    assert machine.finding("driver and CANN").evidence == "npu-smi 25.5.0, CANN 8.3.RC1"
