import os
import time

import pytest

from data_prep.pipeline.data_set import DataError
from data_prep.pipeline.engines import run_here, run_on_ray


@pytest.fixture(scope="module")
def ray_on_this_machine():
    """Start Ray here, whatever cluster the developer has set, and leave none behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    import ray

    ray.shutdown()


def test_results_come_in_order_and_one_at_a_time():
    started = []

    def work(task: int) -> int:
        started.append(task)
        return task * task

    results = run_here(work, [3, 1, 2])
    assert started == []
    assert (next(results), started) == (9, [3])
    assert list(results) == [1, 4]


def test_an_error_ends_the_work_at_once():
    started = []

    def work(task: int) -> int:
        started.append(task)
        raise DataError(f"task {task}")

    with pytest.raises(DataError, match="task 3"):
        list(run_here(work, [3, 1]))
    assert started == [3]


def test_ray_gives_results_in_order_from_other_processes(ray_on_this_machine):
    def work(task: int) -> tuple[int, int]:
        time.sleep(0.3 * (3 - task))  # the last is done first
        return task, os.getpid()

    results = list(run_on_ray(work, [0, 1, 2]))
    assert [task for task, _ in results] == [0, 1, 2]
    assert os.getpid() not in {process for _, process in results}


def test_ray_raises_the_first_error_as_it_was(ray_on_this_machine):
    def work(task: int) -> int:
        if task == 1:
            raise DataError("train.jsonl, row 2: not valid JSON")
        if task == 2:
            raise OSError(28, "No space left on device", "out/train")
        return task

    results = run_on_ray(work, [0, 1, 2])
    assert next(results) == 0
    with pytest.raises(DataError, match=r"^train\.jsonl, row 2: not valid JSON$"):
        next(results)
    with pytest.raises(OSError, match="No space left on device") as caught:
        list(run_on_ray(work, [0, 2]))
    assert (caught.value.errno, caught.value.strerror) == (28, "No space left on device")


class Counted:
    """Something large that all tasks have in common."""

    pickled = 0

    def __reduce__(self):
        Counted.pickled += 1
        return int, (7,)


def test_what_tasks_share_is_handed_to_ray_once(ray_on_this_machine):
    shared = Counted()
    results = list(run_on_ray(sum, [(number, shared) for number in range(3)]))
    assert results == [7, 8, 9]
    assert Counted.pickled == 1


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    import ray

    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(DataError, match=r"--engine ray: RAY_ADDRESS: no Ray cluster answers at 127\.0\.0\.1:1"):
        list(run_on_ray(sum, [()]))
