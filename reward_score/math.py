r"""Mathematics with a boxed answer (MATH, MATH-500, AIME, AMC, DAPO-Math, NuminaMath): the answer must equal the
ground truth.

The answer is the content of the last ``\boxed``, compared by ``math_equivalence``. Only what follows ``</think>``
counts. Where the ground truth lists several values, boxes side by side (``\boxed{1} and \boxed{2}``) are read as one
list.
"""

from reward_score.extraction import (
    TAIL,
    answer_in_tags,
    answer_region,
    has_open_box,
    last_boxed,
    last_boxes,
    stated_answer,
    tagged,
    value_stated,
)
from reward_score.ground_truth import opened
from reward_score.math_equivalence import UndecidedError, equivalent
from reward_score.vote import as_vote


def score(
    solution_str: str, ground_truth: str, *, format_weight: float = 0.0, method: str = "flexible"
) -> dict[str, float | str]:
    r"""Score one response.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: the reference answer as LaTeX or text, without a box or in one; or a list of texts, also as JSON,
            of which any is right.
        format_weight: what a boxed answer adds to the score, right or wrong.
        method: "boxed": an answer outside a box is wrong. "flexible": a response without a box is judged by what
        stands in ``<answer>``, else by what it states after "the answer is", "Answer:" or "####", else by its last
        formula or number.

    Returns:
        ``acc``: 1.0 if the answer equals the ground truth, else 0.0.
        ``format``: 1.0 if the answer stands in a box, else 0.0.
        ``score``: acc + format_weight * format, the reward.
        ``pred``: the answer as a text, the ground truth if it is right, "" if there is none.
        ``scorer_error``: 1.0 if only computer algebra could tell and it gave no verdict in time; acc is 0.0 then.

    Raises:
        ValueError: if the method is unknown.
    """
    if method not in ("flexible", "boxed"):
        raise ValueError(f"method={method!r}: write 'flexible' or 'boxed'")
    region = answer_region(solution_str)
    boxed = last_boxed(region) if region else None
    answers: list[str | None] = [boxed]
    if region and method == "flexible":
        tags = answer_in_tags(region)
        if tags is not None:
            answers = [tags.strip("$ "), value_stated(tags) if len(tags) <= TAIL else None]
        elif boxed is None:
            answers = [None if "\\boxed" in region and has_open_box(region) else stated_answer(region)]
    undecided = False
    try:
        correct = any(_right(answer, region, gold) for answer in answers if answer for gold in _golds(ground_truth))
    except UndecidedError:
        correct, undecided = False, True
    return {
        "score": float(correct) + format_weight * float(boxed is not None),
        "acc": float(correct),
        "format": float(boxed is not None),
        "pred": as_vote(_golds(ground_truth)[0]) if correct else _vote(answers, region),
        "scorer_error": float(undecided),
    }


def _vote(answers: list[str | None], region: str | None) -> str:
    if region and region.count("\\boxed") > 1:
        return as_vote(", ".join(last_boxes(region)))
    return as_vote(next((answer for answer in reversed(answers) if answer), None))


def _golds(ground_truth: object) -> list[str]:
    """Return the golds that a ground truth is: a text, a number, or a list of texts, of which any will do."""
    if not isinstance(ground_truth, str):
        if hasattr(ground_truth, "tolist"):
            ground_truth = ground_truth.tolist()
        if isinstance(ground_truth, list | tuple):
            return [gold for one in ground_truth for gold in _golds(one)]
        if isinstance(ground_truth, bool) or not isinstance(ground_truth, int | float):
            raise TypeError(f"ground truth {str(ground_truth)[:200]!r}: math needs a text, or a list of texts")
        ground_truth = str(ground_truth)
    if ground_truth.startswith('["'):
        listed = opened(ground_truth)
        if isinstance(listed, list):
            return [gold for one in listed for gold in _golds(one)]
    if "####" in ground_truth:
        ground_truth = ground_truth.rpartition("####")[2].strip()
    if "</answer>" in ground_truth:
        ground_truth = tagged(ground_truth, "answer") or ground_truth
    if "\\boxed" in ground_truth:
        return [", ".join(last_boxes(ground_truth)) or ground_truth]
    return [ground_truth]


def _right(answer: str, region: str, gold: str) -> bool:
    return equivalent(answer, gold) or _several_boxes(region, gold)


def _several_boxes(region: str, gold: str) -> bool:
    if region.count("\\boxed") < 2 or not any(mark in gold for mark in (",", ";", "and", "or", "\\pm")):
        return False
    boxes = last_boxes(region)
    return 2 <= len(boxes) <= 20 and equivalent(", ".join(boxes), gold)
