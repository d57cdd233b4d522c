"""How `make test` shares out the tests with pytest-xdist: two processes, of which only one trains language models."""

import pytest
from xdist.scheduler import LoadScopeScheduling

# Ray, vLLM, gigabytes, and what must answer in time: one after the other, and first, since it takes longest.
HEAVY = ("tests/end_to_end/", "tests/examples/trl_trainer/", "tests/reward_score/")


class OneTrainingAtATime(LoadScopeScheduling):
    """Gives a process whole files, and one process all of HEAVY."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy" if nodeid.startswith(HEAVY) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log) -> OneTrainingAtATime:
    return OneTrainingAtATime(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(HEAVY))
