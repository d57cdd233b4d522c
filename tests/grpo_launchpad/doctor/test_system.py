"""Limits, shared memory, cores, memory and disks."""

import os
from dataclasses import replace

import pytest

from grpo_launchpad.doctor.judge import GIB, judge, judge_open_files, judge_shared_memory
from grpo_launchpad.doctor.system import Disk, hub_cache, read_disk, read_system

UNLIMITED = [None, None]


@pytest.fixture(scope="module")
def system():
    return read_system()


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ([1024, 1024], "fail"),
        ([1024, 1048576], "ok"),  # Ray raises it
        ([20000, 20000], "warn"),
        ([65536, 65536], "ok"),
        (UNLIMITED, "ok"),
    ],
)
def test_open_files(system, limit, status):
    finding = judge_open_files(replace(system, limits=system.limits | {"nofile": limit}))
    assert finding.status == status
    assert bool(finding.remedy) == (status != "ok")


@pytest.mark.parametrize(
    ("room", "memory", "status"),
    [
        (None, 64, "fail"),
        ((1 / 16, 1 / 16), 64, "fail"),  # Docker's
        ((0.5, 32), 64, "fail"),  # what earlier runs left there
        ((2, 2), 64, "warn"),
        ((20, 20), 64, "ok"),
    ],
)
def test_shared_memory(system, room, memory, status):
    room = room and [int(each * GIB) for each in room]
    finding = judge_shared_memory(replace(system, shared_memory=room, memory=memory * GIB, memory_limit=None))
    assert finding.status == status
    if room and room[1] > GIB and status == "fail":
        assert "ls -l /dev/shm" in finding.remedy


def findings_of(machine, **changes):
    facts = machine.facts()
    return {each.item: each for each in judge(replace(facts, system=replace(facts.system, **changes)))}


def test_locked_memory_matters_beside_infiniband(machine):
    limits = machine.facts().system.limits | {"memlock": [65536, 65536]}
    assert findings_of(machine, limits=limits)["locked memory"].status == "ok"
    found = findings_of(machine, limits=limits, infiniband=["mlx5_0"])["locked memory"]
    assert found.status == "fail"
    assert "memlock=-1" in found.remedy
    assert (
        findings_of(machine, limits=limits | {"memlock": UNLIMITED}, infiniband=["mlx5_0"])["locked memory"].status
        == "ok"
    )


@pytest.mark.parametrize(
    ("core", "pattern", "status"),
    [(UNLIMITED, "core", "warn"), (UNLIMITED, "|/usr/share/apport", "ok"), ([0, None], "core", "ok")],
)
def test_core_files(machine, core, pattern, status):
    limits = machine.facts().system.limits | {"core": core}
    assert findings_of(machine, limits=limits, core_pattern=pattern)["core files"].status == status


def test_processes_by_user_and_by_control_group(machine):
    limits = machine.facts().system.limits | {"nproc": [1000, 1000]}
    assert findings_of(machine, limits=limits, pids_limit=None)["processes"].status == "fail"
    limits = limits | {"nproc": UNLIMITED}
    assert findings_of(machine, limits=limits, pids_limit=None)["processes"].status == "ok"
    found = findings_of(machine, limits=limits, pids_limit=4096)["processes"]
    assert found.status == "warn"
    assert "--pids-limit" in found.remedy


def test_the_control_groups_limits_are_read(machine):
    machine.file("cgroup/cpu.max", "150000 100000\n")
    machine.file("cgroup/memory.max", f"{6 * GIB}\n")
    machine.file("cgroup/pids.max", "max\n")
    found = machine.facts().system
    assert (found.quota, found.memory_limit, found.pids_limit) == (1.5, 6 * GIB, None)
    assert "by the control group" in machine.finding("memory").evidence
    assert machine.finding("memory").status == "warn"


def test_the_older_control_groups_limits_are_read(machine):
    machine.file("cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    machine.file("cgroup/cpu/cpu.cfs_period_us", "100000\n")
    machine.file("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    found = machine.facts().system
    assert (found.quota, found.memory_limit) == (None, None)
    machine.file("cgroup/cpu/cpu.cfs_quota_us", "400000\n")
    assert machine.facts().system.quota == 4


def test_a_quota_below_the_cores_asks_for_fewer_threads(machine):
    found = findings_of(machine, cores=64, usable_cores=64, quota=8.0)["cores"]
    assert (found.status, found.remedy) == ("warn", "set OMP_NUM_THREADS=8")
    assert findings_of(machine, cores=64, usable_cores=64, quota=8.0, threads="8")["cores"].status == "ok"


def test_another_python_fails(machine):
    assert machine.finding("Python").status == "ok"
    assert findings_of(machine, python="3.9.18")["Python"].status == "fail"


def test_a_disk_is_that_of_the_nearest_folder(tmp_path):
    found = read_disk(tmp_path / "not" / "there")
    assert found.writable
    assert found.total > 0
    tmp_path.chmod(0o555)
    assert not read_disk(tmp_path / "not").writable
    tmp_path.chmod(0o755)


@pytest.mark.parametrize(
    ("disk", "status"),
    [
        (Disk("runs", 500 * GIB, 1000 * GIB, 10**6, True), "ok"),
        (Disk("runs", 20 * GIB, 1000 * GIB, 10**6, True), "warn"),
        (Disk("runs", GIB // 2, 1000 * GIB, 10**6, True), "fail"),
        (Disk("runs", 500 * GIB, 1000 * GIB, 3, True), "fail"),
        (Disk("runs", 500 * GIB, 1000 * GIB, None, False), "fail"),
    ],
)
def test_disks(machine, disk, status):
    facts = replace(machine.facts(), runs=disk)
    (finding,) = [each for each in judge(facts) if each.item == "disk of runs"]
    assert finding.status == status


def test_the_hubs_cache_is_where_its_client_has_it(monkeypatch):
    from huggingface_hub import constants

    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        if name in os.environ:
            pytest.skip(f"{name} was set when the client was imported")
    assert str(hub_cache()) == constants.HF_HUB_CACHE
    monkeypatch.setenv("HF_HOME", "/data/hf")
    assert str(hub_cache()) == "/data/hf/hub"
    monkeypatch.setenv("HF_HUB_CACHE", "/data/models")
    assert str(hub_cache()) == "/data/models"
