"""What the model wrote: held-out prompts before and after training, and the answer groups of the last step."""

import math
from dataclasses import dataclass
from statistics import fmean

from grpo_launchpad.runs.attempts import read_json_lines

from .run_folder import Run

EXAMPLES_SHOWN = 6


@dataclass(frozen=True)
class Sample:
    prompt: str
    output: str
    gold: str
    score: float


@dataclass(frozen=True)
class Comparison:
    """Held-out samples of the first and the last validation; `pairs` is what the table shows."""

    first_step: int
    last_step: int
    pairs: list[tuple[Sample | None, Sample]]  # no first sample when the run validated once
    prompts: int
    improved: int
    worsened: int


@dataclass(frozen=True)
class Group:
    """All answers to one prompt in one training step."""

    samples: list[Sample]

    @property
    def mean_score(self) -> float:
        return fmean(sample.score for sample in self.samples)

    @property
    def has_spread(self) -> bool:
        return len({sample.score for sample in self.samples}) > 1


def compare_validations(run: Run) -> Comparison | None:
    """Pair the prompts of the first and last validation dump; None without a dump."""
    # A dump of a step that a later attempt discarded has no metrics any more.
    dumped = [step for step in run.validation_dumps if step in run.metrics or not run.metrics]
    if not dumped:
        return None
    first_step, last_step = dumped[0], dumped[-1]
    last = _by_prompt(run, last_step)
    if first_step == last_step:
        pairs = [(None, now) for now in last.values()]
        return Comparison(first_step, last_step, pairs[:EXAMPLES_SHOWN], len(pairs), 0, 0)
    first = _by_prompt(run, first_step)
    pairs = [(first[prompt], now) for prompt, now in last.items() if prompt in first]
    improved = [pair for pair in pairs if pair[1].score > pair[0].score]
    worsened = [pair for pair in pairs if pair[1].score < pair[0].score]
    same = [pair for pair in pairs if pair[1].score == pair[0].score]
    same.sort(key=lambda pair: pair[1].score)  # the failures that stayed come first
    # Losses are shown next to gains, so the table does not flatter.
    shown = (improved[:3] + worsened[:2] + same)[:EXAMPLES_SHOWN]
    shown += improved[3 : 3 + EXAMPLES_SHOWN - len(shown)]
    return Comparison(first_step, last_step, shown, len(pairs), len(improved), len(worsened))


def last_training_groups(run: Run) -> tuple[int, list[Group]] | None:
    """Step and groups of the last finished training step that was dumped, worst group first; None without one."""
    trained = set(run.training_steps())
    dumped = [step for step in run.train_dumps if step in trained]
    if not dumped:
        return None
    groups: dict[str, list[Sample]] = {}
    for record in read_json_lines(run.train_dumps[dumped[-1]], run.unreadable):
        sample = _sample(record)
        if sample is not None:
            # verl's uid is <prompt>_<answer>_<output>; two rows of a data set may share one prompt text.
            uid = record.get("uid")
            key = uid.rsplit("_", 2)[0] if isinstance(uid, str) else sample.prompt
            groups.setdefault(key, []).append(sample)
    if not groups:
        return None
    return dumped[-1], sorted(map(Group, groups.values()), key=lambda group: group.mean_score)


def _by_prompt(run: Run, step: int) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for record in read_json_lines(run.validation_dumps[step], run.unreadable):
        sample = _sample(record)
        if sample is not None:
            samples.setdefault(sample.prompt, sample)
    return samples


def _sample(record: dict) -> Sample | None:
    score = record.get("score")
    if not isinstance(score, int | float) or not math.isfinite(score) or "input" not in record:
        return None
    gold = record.get("gts")
    return Sample(str(record["input"]), str(record.get("output", "")), "" if gold is None else str(gold), float(score))
