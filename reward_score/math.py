r"""Mathematics with a boxed answer (MATH, MATH-500, AIME, AMC, DAPO-Math, NuminaMath): the answer must equal the
ground truth.

The answer is the content of the last ``\boxed``, compared by ``math_equivalence``. Only what follows ``</think>``
counts. Where the ground truth lists several values, boxes side by side (``\boxed{1} and \boxed{2}``) are read as one
list.
"""

from reward_score.extraction import answer_region, last_boxed, last_boxes, stated_answer
from reward_score.math_equivalence import UndecidedError, equivalent


def score(
    solution_str: str, ground_truth: str, *, format_weight: float = 0.0, method: str = "flexible"
) -> dict[str, float]:
    r"""Score one response.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: the reference answer as LaTeX or text, without a box or in one.
        format_weight: what a boxed answer adds to the score, right or wrong.
        method: "boxed": an answer outside a box is wrong. "flexible": a response without a box is judged by what it
        states after "the answer is", "Answer:" or "####", else by its last formula or number.

    Returns:
        ``acc``: 1.0 if the answer equals the ground truth, else 0.0.
        ``format``: 1.0 if the answer stands in a box, else 0.0.
        ``score``: acc + format_weight * format, the reward.
        ``scorer_error``: 1.0 if only computer algebra could tell and it gave no verdict in time; acc is 0.0 then.

    Raises:
        ValueError: if the method is unknown.
    """
    if method not in ("flexible", "boxed"):
        raise ValueError(f"method={method!r}: write 'flexible' or 'boxed'")
    region = answer_region(solution_str)
    boxed = last_boxed(region) if region else None
    gold = ", ".join(last_boxes(ground_truth)) or ground_truth if "\\boxed" in ground_truth else ground_truth
    answer = boxed
    if boxed is None and region and method == "flexible":
        answer = stated_answer(region)
    undecided = False
    try:
        correct = answer is not None and (equivalent(answer, gold) or _several_boxes(region, gold))
    except UndecidedError:
        correct, undecided = False, True
    return {
        "score": float(correct) + format_weight * float(boxed is not None),
        "acc": float(correct),
        "format": float(boxed is not None),
        "scorer_error": float(undecided),
    }


def _several_boxes(region: str, gold: str) -> bool:
    if region.count("\\boxed") < 2 or not any(mark in gold for mark in (",", ";", "and", "or", "\\pm")):
        return False
    boxes = last_boxes(region)
    return 2 <= len(boxes) <= 20 and equivalent(", ".join(boxes), gold)
