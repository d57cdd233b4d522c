"""Which task a row belongs to, by its ``data_source``, and which module scores that task.

A task's module is imported when its first row is scored, so that importing this package costs next to nothing.
"""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module


@dataclass(frozen=True)
class Task:
    """A kind of problem with one rule of judgement.

    Attributes:
        scorer: ``module:function``; the function is called as ``score(response, ground_truth, **options)`` and returns
            ``score``, ``acc`` and ``format``, and ``pred``, the answer as a text, if answers can be counted.
        example: a ground truth as the data holds it; None if the task has none.
        score_options: the options that change its ``score`` alone, neither ``acc`` nor ``format``.
    """

    scorer: str
    example: object
    score_options: tuple[str, ...] = ()


TASKS: dict[str, Task] = {
    "gsm8k": Task("reward_score.gsm8k:score", "18", ("format_weight",)),
    "arithmetic": Task("reward_score.arithmetic:score", "42"),
    "math": Task("reward_score.math:score", r"\frac{1}{2}", ("format_weight",)),
    "geometry3k": Task("reward_score.geometry3k:score", "6.5"),
    "countdown": Task("reward_score.countdown:score", {"target": 98, "numbers": [44, 19, 35]}),
    "kk_logic": Task(
        "reward_score.knights_and_knaves:score",
        {"solution_text_format": "(1) Michael is a knight\n(2) Zoey is a knave"},
    ),
    "multiple_choice": Task("reward_score.multiple_choice:score", "B"),
    "search_qa": Task("reward_score.search_qa:score", {"target": ["Paris"]}),
    "code_tests": Task("reward_score.code_tests:score", {"inputs": ["1\n"], "outputs": ["1\n"]}),
    "smoltldr": Task("reward_score.smoltldr:score", None),
}

# data_source, as data_prep and verl 0.9.1 (verl/utils/reward_score/__init__.py) write it -> task
SCORERS: dict[str, str] = {
    "openai/gsm8k": "gsm8k",
    "arithmetic": "arithmetic",
    **dict.fromkeys(
        (
            "lighteval/MATH",
            "DigitalLearningGmbH/MATH-lighteval",
            "HuggingFaceH4/MATH-500",
            "math",
            "math_dapo",
            "math_dapo_reasoning",
            "aime24",
            "aime25",
            "amc23",
            "numina_math",
            "numina_aops_forum",
            "numina_synthetic_math",
            "numina_amc_aime",
            "numina_synthetic_amc",
            "numina_cn_k12",
            "numina_olympiads",
        ),
        "math",
    ),
    "hiyouga/geometry3k": "geometry3k",
    "countdown": "countdown",
    "kk_logic": "kk_logic",
    "multiple_choice": "multiple_choice",
    **dict.fromkeys(
        (
            "searchR1_nq",
            "searchR1_triviaqa",
            "searchR1_popqa",
            "searchR1_hotpotqa",
            "searchR1_2wikimultihopqa",
            "searchR1_musique",
            "searchR1_bamboogle",
        ),
        "search_qa",
    ),
    "code_tests": "code_tests",
    "mlabonne/smoltldr": "smoltldr",
}


class UnknownDataSourceError(ValueError):
    """A row's data_source has no scorer."""

    def __init__(self, unknown: Iterable[object]):
        super().__init__(
            f"no scorer for data_source {', '.join(map(unknown_source, unknown))}; all that there are stand in "
            "docs/en/rewards.md. Correct the rows' data_source, or add it to SCORERS in reward_score/data_sources.py."
        )


def task_of(data_source: object) -> str | None:
    """Return the name of the task that a data source belongs to, None if it is unknown, or no text at all."""
    return SCORERS.get(data_source) if isinstance(data_source, str) else None


def unknown_source(data_source: object) -> str:
    """Return an unknown data source as a message shows it, with the known ones that look like it."""
    return f"{repr(data_source)[:100]}{nearest(data_source, SCORERS) if isinstance(data_source, str) else ''}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean ...?)" with the names that look like this one, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def check_data_sources(data_sources: Iterable[object]) -> None:
    """Check before a run that every data source has a scorer.

    Raises:
        UnknownDataSourceError: naming all that have none.
    """
    unknown = {repr(source): source for source in data_sources if task_of(source) is None}
    if unknown:
        raise UnknownDataSourceError(unknown[name] for name in sorted(unknown))


def scorer_of(data_source: object) -> Callable[..., dict[str, float | str]]:
    """Return the function that scores this data source's task.

    Raises:
        UnknownDataSourceError: if there is none.
    """
    task = task_of(data_source)
    if task is None:
        raise UnknownDataSourceError([data_source])
    return load(TASKS[task].scorer)


@cache
def load(location: str) -> Callable:
    """Import the function that ``module:function`` names."""
    module, function = location.split(":")
    return getattr(import_module(module), function)


def truth_in(data_source: object, value: object) -> object:
    """Return the ground truth that a published data set's column holds.

    GSM8K's ``answer`` is a whole solution, whose final answer follows the last ``####``. Anything else is the ground
    truth itself; a MATH solution with its box is one for the scorer of math.
    """
    if task_of(data_source) == "gsm8k" and isinstance(value, str) and "####" in value:
        return value.rpartition("####")[2].strip()
    return value
