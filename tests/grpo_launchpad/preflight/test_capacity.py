"""What holds only so much: TransferQueue's keys, and the paths of Ray's sockets."""

import pytest

from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.data import check_capacity
from grpo_launchpad.preflight.machine import check_socket_paths
from tests.verl_files import write_split

ROWS = [{"data_source": "openai/gsm8k", "number": number} for number in range(7552)]


@pytest.fixture(scope="module")
def validation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation")
    write_split(folder, "test", ROWS)
    return folder / "test.parquet"


def found(*overrides: str) -> list[str]:
    return [str(each) for each in check_capacity(compose(list(overrides)))]


def test_a_validation_that_the_queue_cannot_hold_is_refused(validation):
    files = f"data.val_files='{validation}'"
    many = "actor_rollout_ref.rollout.val_kwargs.n=16"
    (problem,) = found(files, many)
    assert "7552 validation rows with 16 samples each are 128384 keys, and the queue holds 100000" in problem
    assert "VAL_ROWS to 5882" in problem
    assert found(files, many, "data.val_max_samples=5882") == []
    assert found(files, many, "transfer_queue.backend.SimpleStorage.total_storage_size=256768") == []
    assert found(files) == []


def test_a_step_that_the_queue_cannot_hold_is_refused():
    (problem,) = found("data.train_batch_size=16384", "actor_rollout_ref.rollout.n=8")
    assert "147456 keys" in problem


@pytest.mark.parametrize(
    ("variable", "length", "refused"), [("TMPDIR", 101, True), ("TMPDIR", 38, False), ("RAY_TMPDIR", 60, True)]
)
def test_a_folder_too_long_for_rays_sockets_is_refused(monkeypatch, variable, length, refused):
    for name in ("TMPDIR", "RAY_TMPDIR", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/" + "x" * (length - 1))
    assert [problem.where for problem in check_socket_paths(compose([]))] == ([variable] if refused else [])
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert check_socket_paths(compose([])) == []
