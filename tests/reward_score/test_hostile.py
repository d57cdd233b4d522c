"""math.score on answers made to hang, crash or fool it, from every kind of caller: each has an end, and soon."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from benchmarks.reward_score.hostile import CASES
from benchmarks.reward_score.isolation import timed_call
from reward_score import math

CAP = 1.0  # CPU seconds of the caller
END = 100  # seconds on the wall, which other processes share; benchmarks/reward_score measures them
# The first answers of a process load modules, and start the computer algebra.
WARM_UP = [(r"\boxed{\frac{1}{2}+x}", r"x+\frac{1}{3}"), (r"\boxed{\frac{x^2}{2}}", r"\int_0^x t \, dt")]


def warmed_up(call):
    for answer in WARM_UP:
        call(math.score, *answer)
    return call


@pytest.fixture(scope="module")
def in_main_thread():
    return warmed_up(timed_call)


@pytest.fixture(scope="module")
def in_a_thread():
    with ThreadPoolExecutor(1) as pool:
        yield warmed_up(lambda *call: pool.submit(timed_call, *call).result())


@pytest.fixture(scope="module")
def in_an_event_loop():
    async def in_its_executor(*call):
        return await asyncio.get_running_loop().run_in_executor(None, timed_call, *call)

    with asyncio.Runner() as runner:
        yield warmed_up(lambda *call: runner.run(in_its_executor(*call)))


@pytest.fixture(scope="module")
def in_a_spawned_process():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield warmed_up(lambda *call: pool.submit(timed_call, *call).result())


@pytest.mark.parametrize("caller", ["in_main_thread", "in_a_thread", "in_an_event_loop", "in_a_spawned_process"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_answer_is_judged_in_time(case, caller, request, cpu_seconds):
    call = request.getfixturevalue(caller)
    with cpu_seconds(CAP):
        outcome = call(math.score, case.response, case.gold)
    assert outcome.error is None
    assert outcome.seconds < END
    assert {"score", "acc", "format"} <= set(outcome.verdict)
    if case.verdict is not None:
        assert outcome.verdict["acc"] == float(case.verdict)


def test_there_are_cases_with_each_verdict_and_no_name_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 76
    assert {case.verdict for case in CASES} == {True, False, None}
