"""Answers to verdicts: by the reward function that a run trained with, or by this project's scorers."""

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from grpo_launchpad.evaluate.problems import Problem
from grpo_launchpad.inference.model_argument import OWN_SCORERS, RunSettings
from reward_score import UnknownDataSourceError, check_configuration, compute_score
from reward_score.rows import RowsError

# Scorers of mathematics wait for a process of their own now and then; the others are quick.
THREADS = 4
# What verl's reward manager adds to a row's extra_info (experimental/reward_loop/reward_manager/naive.py).
SINGLE_TURN = {"num_turns": 2, "rollout_reward_scores": {}}


@dataclass(frozen=True)
class Verdict:
    """What the scorer says of one answer.

    Attributes:
        score: the reward.
        right: ``acc`` where the scorer returns it, else the reward, as in verl.
        answer: the answer that it read (``pred``), None if there is none, or the scorer does not say.
        failed: whether it gave no verdict.
    """

    score: float
    right: float
    answer: str | None
    failed: bool


class Scorer:
    """Scores answers to problems.

    Attributes:
        name: for a reader.
        is_own: whether it is this project's, which knows the data sources that it can judge.
        says_answers: whether it has returned ``pred``, without which there is no majority.
    """

    def __init__(self, settings: RunSettings | None = None):
        """Take the reward function of a run, or without one this project's with the task's own score.

        Raises:
            RowsError: if the run's reward function cannot be loaded.
        """
        self.is_own = settings is None or settings.reward_path == OWN_SCORERS
        self.says_answers = self._failed = False
        self._kwargs: Mapping[str, object] = dict(settings.reward_kwargs) if settings else {}
        self._function: Callable = compute_score
        rewards = self._kwargs.get("rewards")
        self.name = "reward_score" + (f" ({rewards})" if rewards else "")
        if not self.is_own:
            self.name = f"{settings.reward_path}:{settings.reward_name}" if settings.reward_path else "verl's own"
            self._function = _load(settings)

    def check(self, problems: Iterable[Problem]) -> None:
        """Check that every problem can be scored.

        Raises:
            RowsError: if one cannot, or an option is wrong.
        """
        if not self.is_own:
            return
        options = {name: value for name, value in self._kwargs.items() if name != "rewards"}
        try:
            check_configuration(
                sorted({problem.data_source for problem in problems}), self._kwargs.get("rewards"), options
            )
        except (UnknownDataSourceError, ValueError) as error:
            raise RowsError("scorer", str(error), "correct the data, or the run's REWARDS") from error

    def score(self, answers: Iterable[tuple[Problem, str]]) -> Iterator[Verdict]:
        """Yield the verdict of each answer, in order."""
        with ThreadPoolExecutor(THREADS) as pool:
            for verdict in pool.map(lambda pair: self._verdict(*pair), answers):
                self.says_answers |= verdict.answer is not None
                yield verdict

    def _verdict(self, problem: Problem, text: str) -> Verdict:
        try:
            found = self._function(
                data_source=problem.data_source,
                solution_str=text,
                ground_truth=problem.ground_truth,
                extra_info={**problem.extra_info, **SINGLE_TURN},
                **self._kwargs,
            )
            if inspect.isawaitable(found):
                found = asyncio.run(_awaited(found))
            if not isinstance(found, Mapping):
                return Verdict(float(found), float(found), None, False)
            score, answer = float(found["score"]), found.get("pred")
        except Exception as error:  # a user's function may raise anything; verl would end the run
            if not self._failed:
                self._failed = True
                what = f"{type(error).__name__}: {str(error)[:300]}"
                print(f"note: {self.name} failed on row {problem.number} of {problem.data}: {what}", file=sys.stderr)
            return Verdict(0.0, 0.0, None, True)
        answer = None if answer in (None, "") else str(answer)
        return Verdict(score, float(found.get("acc", score)), answer, bool(found.get("scorer_error")))


async def _awaited(found):
    return await found


def _load(settings: RunSettings) -> Callable:
    """Return a run's reward function, by verl's own loader; verl's default one where the run names none.

    Source: ``get_custom_reward_fn`` in verl/trainer/ppo/reward.py of verl 0.9.1.
    """
    try:
        if not settings.reward_path:
            from verl.utils.reward_score import default_compute_score

            return default_compute_score
        from verl.utils.import_utils import load_extern_object

        return load_extern_object(settings.reward_path, settings.reward_name)
    except Exception as error:  # the file is the user's
        raise RowsError(
            f"{settings.reward_path}:{settings.reward_name}",
            f"the run's reward function cannot be loaded ({error})",
            "put the file where it was when the run started",
        ) from error
