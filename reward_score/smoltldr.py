"""Short stories to be told in one line (``mlabonne/smoltldr``): there is no right answer, only a wished length."""

TARGET = 50
TOLERANCE = 5


def score(solution_str: str, ground_truth: object = None) -> dict[str, float]:
    r"""Score a summary by its length in characters: score = -\|50 - length\|.

    Source: ``reward_len`` of TRL's quick start, used with this data set in the Hugging Face course on GRPO.

    Args:
        solution_str: the decoded response, special tokens removed.
        ground_truth: not looked at; the data has none.

    Returns:
        ``score``: 0.0 at 50 characters, -1 for each character more or less.
        ``acc``: 1.0 within 5 characters of 50, else 0.0. The source has no such verdict; verl and the report need one.
        ``format``: 1.0 if the response is one line with something on it, else 0.0.
    """
    distance = abs(TARGET - len(solution_str))
    one_line = bool(solution_str.strip()) and "\n" not in solution_str.strip()
    return {"score": float(-distance), "acc": float(distance <= TOLERANCE), "format": float(one_line)}
