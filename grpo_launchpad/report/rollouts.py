"""The training rollouts of a run for the page: each answer's reward and length, and the texts that have room."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from grpo_launchpad.runs.attempts import read_json_lines

from .run_folder import Run
from .samples import Sample, sample_of

TEXT_BUDGET = 12_000_000  # bytes of answers in the page, which gzip and base64 make about 5 MB of
LONGEST_ANSWER, LONGEST_PROMPT = 1500, 800
GROUPS_A_STEP = 48  # with texts; of more, evenly many from the worst to the best
ROWS = 300_000  # answers of which the page knows at all


@dataclass(frozen=True)
class Answer:
    """An answer of a training step; ``tokens`` is None in dumps that do not have it."""

    sample: Sample
    tokens: int | None


@dataclass
class Rollouts:
    """Columns: of the groups, of all answers in the order of the groups, and the texts of some answers.

    Attributes:
        step, prompt, first: of each group its step, the number of its prompt, and its first answer.
        score, length: of each answer; length in ``unit``, "tokens" or "characters".
        limit: the length at which an answer was cut off, if it is known.
        texts: number of an answer -> its text, shortened.
        prompts, golds: one for each different prompt.
        steps: with rollouts; left_out: those among them of which nothing is here.
        answers: in the dumps of all steps that are here.
    """

    step: list[int] = field(default_factory=list)
    prompt: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    unit: str = "tokens"
    limit: int | None = None
    texts: dict[int, str] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)
    golds: list[str] = field(default_factory=list)
    steps: int = 0
    left_out: int = 0

    def data(self) -> dict:
        """Return what the page's script needs."""
        return {
            **{name: getattr(self, name) for name in ("step", "prompt", "first", "score", "length", "unit", "limit")},
            "prompts": self.prompts,
            "golds": self.golds,
            "textOf": list(self.texts),
            "texts": list(self.texts.values()),
            "steps": self.steps,
            "leftOut": self.left_out,
        }


def groups_of(path: Path, unreadable: list[str]) -> list[list[Answer]]:
    """Return the groups of answers in a dump of training rollouts, in its order."""
    groups: dict[str, list[Answer]] = {}
    for record in read_json_lines(path, unreadable):
        sample = sample_of(record)
        if sample is not None:
            # verl's uid is <prompt>_<answer>_<output>; two rows of a data set may share one prompt text.
            uid, tokens = record.get("uid"), record.get("response_tokens")
            key = uid.rsplit("_", 2)[0] if isinstance(uid, str) else sample.prompt
            groups.setdefault(key, []).append(Answer(sample, tokens if isinstance(tokens, int) else None))
    return list(groups.values())


def collect(run: Run, budget: int = TEXT_BUDGET) -> Rollouts:
    """Return the rollouts of a run's training steps, with the texts of steps spread evenly over the run.

    Args:
        budget: bytes of answers; prompts may have a quarter as many.
    """
    found = Rollouts()
    trained = set(run.training_steps())
    steps = [step for step in run.train_dumps if step in trained or not trained]
    found.steps = len(steps)
    kept: dict[int, list[list[Answer]]] = {}
    room, rows, lengths_known = budget, ROWS, True
    with_text: set[tuple[int, int]] = set()
    prompts_room = budget // 4
    for at in spread(len(steps)):
        if rows <= 0:
            found.left_out += 1
            continue
        step = steps[at]
        groups = groups_of(run.train_dumps[step], run.unreadable)
        rows -= sum(map(len, groups))
        lengths_known &= all(answer.tokens is not None for group in groups for answer in group)
        if room > 0:
            chosen = _evenly(groups)
            with_text |= {(step, number) for number in chosen}
            room -= sum(_size(answer) for number in chosen for answer in groups[number])
        # Texts that nobody will see need no memory.
        kept[step] = [
            group if (step, number) in with_text else [_without_text(answer) for answer in group]
            for number, group in enumerate(groups)
        ]
    found.unit = "tokens" if lengths_known else "characters"
    found.limit = run.settings.response_limit if lengths_known else None
    numbers: dict[tuple[str, str], int] = {}
    for step in sorted(kept):
        for number, group in enumerate(kept[step]):
            first = group[0].sample
            key = (first.prompt, first.gold)
            if key not in numbers:
                numbers[key] = len(found.prompts)
                text = shortened(first.prompt, LONGEST_PROMPT if prompts_room > 0 else 80)
                prompts_room -= len(text.encode("utf-8", "replace"))
                found.prompts.append(text)
                found.golds.append(shortened(first.gold, 200))
            found.step.append(step)
            found.prompt.append(numbers[key])
            found.first.append(len(found.score))
            for answer in group:
                if (step, number) in with_text:
                    found.texts[len(found.score)] = shortened(answer.sample.output, LONGEST_ANSWER)
                found.score.append(round(answer.sample.score, 4))
                found.length.append(answer.tokens if lengths_known else answer.sample.characters)
    return found


def spread(count: int) -> Iterator[int]:
    """Yield 0 to count - 1: the first, the last, then always the middle of the largest gaps."""
    if count:
        yield 0
    if count > 1:
        yield count - 1
    gaps = [(0, count - 1)]
    while gaps:
        halves = []
        for low, high in gaps:
            if high - low > 1:
                middle = (low + high) // 2
                yield middle
                halves += [(low, middle), (middle, high)]
        gaps = halves


def shortened(text: str, longest: int) -> str:
    """Return a text without its middle if it is long; the end is kept: that is where the final answer stands."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"


def _evenly(groups: list[list[Answer]]) -> list[int]:
    """Return the numbers of at most GROUPS_A_STEP groups, from the worst to the best."""
    if len(groups) <= GROUPS_A_STEP:
        return list(range(len(groups)))
    ranked = sorted(range(len(groups)), key=lambda number: fmean(answer.sample.score for answer in groups[number]))
    return [ranked[index * (len(ranked) - 1) // (GROUPS_A_STEP - 1)] for index in range(GROUPS_A_STEP)]


def _size(answer: Answer) -> int:
    return len(shortened(answer.sample.output, LONGEST_ANSWER).encode("utf-8", "replace"))


def _without_text(answer: Answer) -> Answer:
    sample = answer.sample
    return Answer(Sample(sample.prompt, "", sample.gold, sample.score, sample.characters), answer.tokens)
