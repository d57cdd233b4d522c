"""How `make test` shares out the tests with pytest-xdist: two processes, of which only one trains language models. And
how a test bounds time on any machine.
"""

import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

# Hypothesis fails a test that takes 0.2 s once, as any does beside a busy process.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Ray, vLLM, gigabytes, trainings: one after the other, and first, since it takes longest.
HEAVY = (
    "tests/end_to_end/",
    "tests/examples/trl_trainer/",
    "tests/examples/torch_trainer/",
    "tests/grpo_launchpad/test_tiny_model.py",
    "tests/grpo_launchpad/evaluate/test_real_engine.py",
)


class OneTrainingAtATime(LoadScopeScheduling):
    """Gives a process whole files, and one process all of HEAVY."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy" if nodeid.startswith(HEAVY) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> OneTrainingAtATime:
    return OneTrainingAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(HEAVY))


REFERENCE_SECONDS = 0.007  # CPU time of the loop below where the tests' bounds were written


def loop_seconds() -> float:
    """Return the CPU time of a loop of Python."""
    started, counts = time.thread_time(), {}
    for number in range(100_000):
        counts[number % 997] = counts.get(number % 997, 0) + number
    return time.thread_time() - started


@pytest.fixture
def cpu_seconds() -> Callable[[float], AbstractContextManager]:
    """Make a context in which this thread may compute for so many seconds, as a machine of REFERENCE_SECONDS has them.

    Other processes do not count, and a slower machine gets as much more. What waits or computes elsewhere is not seen.
    """

    @contextmanager
    def at_most(seconds: float):
        # A collection looks at all that this process has imported, PyTorch among it: a second that is not the test's.
        gc.disable()
        try:
            before, started = loop_seconds(), time.thread_time()
            yield
            taken = time.thread_time() - started
        finally:
            gc.enable()
        slowness = max(1.0, max(before, loop_seconds()) / REFERENCE_SECONDS)
        assert taken < seconds * slowness, f"{taken:.2f} s of CPU time, on a machine {slowness:.1f} times as slow"

    return at_most
