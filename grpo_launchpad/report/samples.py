"""What the model wrote: one answer, and held-out prompts before and after training."""

import math
from dataclasses import dataclass

from grpo_launchpad.runs.attempts import read_json_lines

from .run_folder import Run

EXAMPLES_SHOWN = 6


@dataclass(frozen=True)
class Sample:
    prompt: str
    output: str
    gold: str
    score: float
    characters: int = 0  # of the output


@dataclass(frozen=True)
class Comparison:
    """Held-out samples of the first and the last validation; `pairs` is what the table shows."""

    first_step: int
    last_step: int
    pairs: list[tuple[Sample | None, Sample]]  # no first sample when the run validated once
    prompts: int
    improved: int
    worsened: int


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


def _by_prompt(run: Run, step: int) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for record in read_json_lines(run.validation_dumps[step], run.unreadable):
        sample = sample_of(record)
        if sample is not None:
            samples.setdefault(sample.prompt, sample)
    return samples


def sample_of(record: dict) -> Sample | None:
    """Return the answer in a line of a dump, or None if it is none."""
    score = record.get("score")
    if not isinstance(score, int | float) or not math.isfinite(score) or "input" not in record:
        return None
    gold = record.get("gts")
    output = str(record.get("output", ""))
    return Sample(str(record["input"]), output, "" if gold is None else str(gold), float(score), len(output))
