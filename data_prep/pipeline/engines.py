"""Where the work is done: in this process, piece by piece, or on a Ray cluster, many pieces side by side."""

import logging
import shlex
import sys
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

    from grpo_launchpad.preflight.machine import check_ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if not ray.is_initialized():
        if unreachable := check_ray():  # Ray itself would try for minutes
            raise DataError(f"--engine ray: {unreachable[0]}")
        workers = {"env_vars": {"PYTHONPATH": str(ROOT)}}  # not another copy that is installed
        python = shlex.quote(sys.executable)
        if python != sys.executable:  # Ray hands it to a shell as it is
            workers["py_executable"] = python
        try:
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False, runtime_env=workers)
        except ConnectionError as error:
            raise DataError(f"--engine ray: {error} Start the cluster, or correct or unset RAY_ADDRESS.") from error
    ray.data.DataContext.get_current().enable_progress_bars = False

    shared = ray.put(list(tasks))  # together, so that what they have in common is there once

    def guarded(row: dict) -> dict:
        try:
            outcome = work(ray.get(shared)[row["id"]])
        except (DataError, OSError) as error:
            outcome = error
        return {"id": row["id"], "outcome": cloudpickle.dumps(outcome)}

    done = ray.data.range(len(tasks), override_num_blocks=len(tasks)).map(guarded).take_all()
    for row in sorted(done, key=lambda row: row["id"]):
        outcome = cloudpickle.loads(row["outcome"])
        if isinstance(outcome, Exception):
            raise outcome
        yield outcome


ENGINES = {"local": run_here, "ray": run_on_ray}
