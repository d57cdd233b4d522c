"""Which task a row belongs to, by its ``data_source``, and which module scores that task.

A task's module is imported when its first row is scored, so that importing this package costs next to nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module


@dataclass(frozen=True)
class Task:
    """A kind of problem with one rule of judgement.

    Attributes:
        scorer: ``module:function``; the function is called as ``score(response, ground_truth, **options)`` and returns
            ``score``, ``acc`` and ``format``.
        example: a ground truth as the data holds it; None if the task has none.
    """

    scorer: str
    example: object


TASKS: dict[str, Task] = {
    "gsm8k": Task("reward_score.gsm8k:score", "18"),
    "arithmetic": Task("reward_score.arithmetic:score", "42"),
    "math": Task("reward_score.math:score", r"\frac{1}{2}"),
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

    def __init__(self, unknown: Iterable[str]):
        super().__init__(
            f"no scorer for data_source {', '.join(map(repr, unknown))}; known: {', '.join(map(repr, SCORERS))}. "
            "Correct data_source in the data's parquet files, or add it to SCORERS in reward_score/data_sources.py."
        )


def check_data_sources(data_sources: Iterable[str]) -> None:
    """Check before a run that every data source has a scorer.

    Raises:
        UnknownDataSourceError: naming all that have none.
    """
    unknown = sorted({source for source in data_sources if source not in SCORERS}, key=str)
    if unknown:
        raise UnknownDataSourceError(unknown)


def scorer_of(data_source: str) -> Callable[..., dict[str, float]]:
    """Return the function that scores this data source's task.

    Raises:
        UnknownDataSourceError: if there is none.
    """
    if data_source not in SCORERS:
        raise UnknownDataSourceError([data_source])
    return load(TASKS[SCORERS[data_source]].scorer)


@cache
def load(location: str) -> Callable:
    """Import the function that ``module:function`` names."""
    module, function = location.split(":")
    return getattr(import_module(module), function)


def truth_in(data_source: str, value: object) -> object:
    """Return the ground truth that a published data set's column holds.

    GSM8K's ``answer`` is a whole solution, whose final answer follows the last ``####``. Anything else is the ground
    truth itself; a MATH solution with its box is one for the scorer of math.
    """
    if SCORERS.get(data_source) == "gsm8k" and isinstance(value, str) and "####" in value:
        return value.rpartition("####")[2].strip()
    return value
