"""Where the work is done: in this process, piece by piece, or on a Ray cluster, many pieces side by side."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from data_prep.pipeline.data_set import DataError

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
R = TypeVar("R")


def run_here(work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """Yield the result of each task, one after the other. Memory is that of one task."""
    yield from map(work, tasks)


def run_on_ray(work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """Yield the result of each task in their order, worked on by Ray Data.

    It runs on the cluster that RAY_ADDRESS names, else on all cores of this machine. Every node needs this project and
    its environment, and must see the source and the output folder under the same absolute path.

    Raises:
        DataError, OSError: the first that a task raised; others may have been worked on meanwhile.
    """
    import ray.data
    from ray import cloudpickle

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if not ray.is_initialized():
        try:
            ray.init(
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},  # not another copy that is installed
            )
        except ConnectionError as error:
            raise DataError(f"--engine ray: {error} Start the cluster, or correct or unset RAY_ADDRESS.") from error
    ray.data.DataContext.get_current().enable_progress_bars = False

    def guarded(row: dict) -> dict:
        try:
            outcome = work(cloudpickle.loads(row["task"]))
        except (DataError, OSError) as error:
            outcome = error
        return {"number": row["number"], "outcome": cloudpickle.dumps(outcome)}

    rows = [{"number": number, "task": cloudpickle.dumps(task)} for number, task in enumerate(tasks)]
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(guarded).take_all()
    for row in sorted(done, key=lambda row: row["number"]):
        outcome = cloudpickle.loads(row["outcome"])
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


ENGINES = {"local": run_here, "ray": run_on_ray}
