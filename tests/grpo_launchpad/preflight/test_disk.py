"""Folders that can be written, and room on the disks that they are on."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from grpo_launchpad.architectures import published
from grpo_launchpad.preflight.check import check_machine
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.machine import GIB, check_disk, check_folders

HUGE = "deepseek-ai/DeepSeek-V3"


@pytest.fixture
def disks(monkeypatch, tmp_path):
    """Gives folders disks of their own, each with so much free space."""
    free = {}

    def disk_of(path):
        return next((folder for folder in (Path(path), *Path(path).parents) if folder in free), None)

    def disk_usage(path):
        found = disk_of(path)
        return SimpleNamespace(free=2**60 if found is None else free[found], total=2**60)

    stat = Path.stat

    def stat_of(path, **options):
        result = stat(path, **options)
        found = disk_of(path)
        if found is None:
            return result
        return SimpleNamespace(st_dev=hash(found), st_mode=result.st_mode)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(Path, "stat", stat_of)

    def disk(name, gib):
        folder = tmp_path / name
        folder.mkdir()
        free[folder] = int(gib * GIB)
        return folder

    return disk


def config(checkpoints, save_freq=5, keep=1, *more):
    return compose(
        [
            f"trainer.default_local_dir='{checkpoints}'",
            f"trainer.save_freq={save_freq}",
            f"trainer.max_actor_ckpt_to_keep={keep}",
            *more,
        ]
    )


def test_a_good_launch_finds_room_enough(launch):
    assert check_machine(compose(launch.overrides()), "cpu", launch.run_dir) == ([], [])


def test_checkpoints_count_on_their_own_disk(disks):
    small, large = disks("small", 1), disks("large", 1000)
    parameters = 2 * 10**9  # two checkpoints of 24 GB
    assert check_disk(config(large / "a" / "b"), small / "run", 12 * parameters) == []
    (problem,) = check_disk(config(small / "checkpoints"), large / "run", 12 * parameters)
    assert problem.where == str(small / "checkpoints")
    assert problem.what == "1.0 GiB free, about 44.7 GiB needed for checkpoints"
    assert "CHECKPOINT_DIR" in problem.fix


def test_logs_count_on_theirs(disks):
    full, large = disks("full", 0.1), disks("large", 1000)
    (problem,) = check_disk(config(large), full / "run", 12 * 10**9)
    assert problem.where == str(full / "run")
    assert "0.1 GiB free, about 0.2 GiB needed for logs" in problem.what
    assert "RUN_DIR" in problem.fix


def test_on_one_disk_they_count_together(disks):
    disk = disks("disk", 22.4)
    parameters = 10**9  # two checkpoints are 22.35 GiB, logs 0.25
    (problem,) = check_disk(config(disk / "run" / "checkpoints"), disk / "run", 12 * parameters)
    assert problem.what == "22.4 GiB free, about 22.6 GiB needed for logs and checkpoints"
    assert check_disk(config(disk / "run" / "checkpoints"), disk / "run", int(0.98 * 12 * parameters)) == []


@pytest.mark.parametrize(("save_freq", "keep", "kept"), [(5, 1, 2), (5, 3, 4), (5, "null", 2), (-1, 3, 0)])
def test_one_checkpoint_more_than_are_kept_needs_room(disks, save_freq, keep, kept):
    need = kept * 12 * 10**9 / GIB
    enough, short = disks("enough", need + 0.01), disks("short", max(need - 0.01, 0))
    logs = disks("logs", 1)
    assert check_disk(config(enough, save_freq, keep), logs, 12 * 10**9) == []
    assert len(check_disk(config(short, save_freq, keep), logs, 12 * 10**9)) == (1 if kept else 0)


def test_a_hubs_model_that_is_not_here_has_its_published_size(launch, disks, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    disk = disks("disk", 8000)
    wanted = 2 * 12 * published(HUGE).parameters / GIB
    assert 14_900 < wanted < 15_200  # 671 B parameters
    model = f"actor_rollout_ref.model.path={HUGE}"
    _, (problem,) = check_machine(config(disk, 5, 1, model), "cpu", launch.run_dir)
    assert problem.what == f"8000.0 GiB free, about {wanted:.1f} GiB needed for checkpoints"
    assert check_machine(config(disk, -1, 1, model), "cpu", launch.run_dir) == ([], [])


def test_a_smoke_model_is_small_whatever_its_name(launch, disks):
    disk = disks("disk", 1)
    assert check_machine(config(disk, 5, 1, f"actor_rollout_ref.model.path='smoke:{HUGE}'"), "cpu", disk / "run") == (
        [],
        [],
    )


def test_a_model_of_unknown_size_asks_for_no_room(launch, disks):
    disk = disks("disk", 1)
    model = "actor_rollout_ref.model.path=nobody/nothing"
    assert check_machine(config(disk, 5, 1, model), "cpu", disk / "run") == ([], [])


def test_a_folder_that_can_be_made_is_right_and_is_not_made(tmp_path):
    assert check_folders([tmp_path, tmp_path / "a" / "b"]) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_file_in_the_place_of_a_folder_is_found(launch, tmp_path, below):
    file = tmp_path / "file"
    file.touch()
    problem = launch.problem(f"trainer.default_local_dir='{file / below}'")
    assert problem.where == str(file / below)
    assert problem.what == f"{file} is a file"
    assert "CHECKPOINT_DIR" in problem.fix


@pytest.mark.parametrize("below", ["", "a/b"])
def test_a_folder_that_cannot_be_written_is_found(launch, tmp_path, below):
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    problem = launch.problem(f"trainer.default_local_dir='{folder / below}'")
    assert (problem.where, problem.what) == (str(folder / below), f"{folder} cannot be written")
    assert "CHECKPOINT_DIR" in problem.fix


def test_a_read_only_file_system_is_found():
    mounted = [
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if "ro" in line.split()[3].split(",")
    ]
    folders = [Path(folder) for folder in mounted if Path(folder).is_dir()]
    if not folders:
        pytest.skip("this machine has no read-only mount")
    (problem,) = check_folders([folders[0] / "run"])
    assert problem.what == f"{folders[0]} cannot be written"


def test_a_link_to_nowhere_is_no_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert [problem.where for problem in check_folders([tmp_path / "link"])] == [str(tmp_path / "link")]


def test_run_folder_and_checkpoints_are_both_looked_at(launch, tmp_path):
    (tmp_path / "file").touch()
    launch.run_dir = tmp_path / "file" / "run"
    overrides = [f"trainer.default_local_dir='{tmp_path / 'file' / 'checkpoints'}'"]
    assert [problem.where for problem in launch.problems(*overrides)] == [
        str(tmp_path / "file" / "run"),
        str(tmp_path / "file" / "checkpoints"),
    ]
