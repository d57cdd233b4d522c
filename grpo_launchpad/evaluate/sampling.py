"""Samples the answers that are still missing, and keeps each as it comes."""

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from grpo_launchpad.evaluate.answers import Answers, KeptAnswer
from grpo_launchpad.evaluate.pace import Pace
from grpo_launchpad.evaluate.problems import Problem
from grpo_launchpad.inference.engine import Engine, Request, Sampling
from grpo_launchpad.runs.pace import duration


def missing(answers: Answers, problems: Sequence[Problem], samples: int) -> list[tuple[Problem, int]]:
    """Return the problems and samples that have no answer yet: the first sample of all problems first."""
    return [
        (problem, sample) for sample in range(samples) for problem in problems if (problem.key, sample) not in answers
    ]


def seed_of(seed: int, problem: Problem, sample: int) -> int:
    """Return the seed of one answer, which depends on nothing else: a resumed evaluation draws what it would have."""
    digest = hashlib.sha256(f"{seed} {problem.key} {sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def sample_missing(
    engine: Engine,
    wanted: Sequence[tuple[Problem, int]],
    answers: Answers,
    prompts: dict[str, list[int]],
    limits: dict[str, int],
    text_of: Callable[[Sequence[int]], str],
    sampling: Sampling,
    seed: int,
    show: "Bar",
) -> None:
    """Sample answers and add them.

    Args:
        engine: that answers.
        wanted: problems and samples without an answer.
        answers: to add to.
        prompts: token ids by problem.
        limits: tokens that an answer may have, by problem.
        text_of: token ids to text.
        sampling: how answers are drawn.
        seed: of the evaluation.
        show: the progress.

    Raises:
        AnswersError: if the disk is full.
    """
    places = {f"{problem.key}/{sample}": (problem.key, sample) for problem, sample in wanted}

    def requests() -> Iterator[Request]:
        for problem, sample in wanted:
            key = problem.key
            yield Request(f"{key}/{sample}", prompts[key], limits[key], seed_of(seed, problem, sample))

    for step in engine.run(requests(), sampling):
        for answer in step.answers:
            key, sample = places[answer.key]
            answers.add(key, sample, KeptAnswer(text_of(answer.tokens), len(answer.tokens), answer.truncated))
        show.step(step.tokens, step.running, len(step.answers))


class Bar:
    """A progress bar on a terminal; elsewhere a line after every tenth of the answers."""

    def __init__(self, title: str, wanted: int, kept: int, max_tokens: int, console: Console | None = None):
        self._console = console or Console(file=sys.stderr, highlight=False)
        self._pace, self._title, self._kept, self._told = Pace(wanted, max_tokens), title, kept, 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=wanted + kept, completed=kept, speed="")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def step(self, tokens: int, running: int, finished: int) -> None:
        self._pace.step(tokens, running, finished)
        done = self._kept + self._pace.finished
        self._bar.update(self._task, completed=done, speed=self._speed())
        tenth = 10 * self._pace.finished // self._pace.wanted
        if not self._console.is_terminal and tenth > self._told:
            self._told = tenth
            total = self._kept + self._pace.wanted
            self._console.print(f"{self._title}: {done}/{total} answers, {self._speed()}", soft_wrap=True)

    def _speed(self) -> str:
        left = self._pace.seconds_left()
        speed = f"{self._pace.tokens_per_second:,.0f} tokens/s"
        return f"{speed}, {duration(left)} left" if left is not None else speed
