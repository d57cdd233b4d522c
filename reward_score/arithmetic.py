"""Arithmetic task: the response must be the number and nothing else."""

from reward_score.vote import as_vote


def score(solution_str: str, ground_truth: str) -> dict[str, float | str]:
    """Score one response to an ``a+b=`` prompt.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: the sum, as decimal digits.

    Returns:
        ``score`` (the reward) and ``acc``, both 1.0 if the stripped response equals the ground truth, else 0.0.
        ``format``: 1.0 if the stripped response is decimal digits alone, else 0.0.
        ``pred``: the stripped response.
    """
    answer = solution_str.strip()
    correct = float(answer == ground_truth)
    return {
        "score": correct,
        "acc": correct,
        "format": float(answer.isascii() and answer.isdigit()),
        "pred": as_vote(answer),
    }
