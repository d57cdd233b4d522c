"""Knights and knaves: say of each inhabitant of a puzzle whether he is a knight or a knave.

The answer is what stands in the last closed ``<answer>...</answer>`` after the thoughts, for example
``<answer>(1) Zoey is a knight (2) Oliver is a knave</answer>``. Values are as in Logic-RL (arXiv 2502.14768, section
2.2, and ``verl/utils/reward_score/kk.py`` of github.com/Unakar/Logic-RL)::

    score = format + answer
    format = 1 if the tags stand as asked, else -1
    answer = 2 if all are right, -1.5 if some are wrong, -2 if it cannot be read or the format is wrong

so the score is 3, -0.5, -1 or -3.

Policies:

- The format is ``</think>``, ``<answer>`` and ``</answer>`` once each, in this order, after at most one ``<think>``.
  The data's prompts end in ``<think>``, which is then no part of the response. An empty thought passes, as published.
- Every name must be given a role, exactly once. As published, ``knight`` and ``knave`` may not stand anywhere else in
  the answer: a name with both roles, a name twice, and an explanation beside the answer make it unreadable.
- So does any word of doubt ("not", "or", "if", "either", "maybe" ...), which the published rule overlooks.
- Names and roles may be bold, in any case, numbered; "Zoey is a knight", "Zoey is knight" and "Zoey: knight" are the
  same. Logic-RL reads only the first.
"""

import re

from reward_score.extraction import answer_region, tagged
from reward_score.ground_truth import opened
from reward_score.vote import LONGEST, NO_ANSWER

FORMAT_RIGHT, FORMAT_WRONG = 1.0, -1.0
ALL_RIGHT, SOME_WRONG, UNREADABLE = 2.0, -1.5, -2.0

_TRUTH_LINE = re.compile(r"\s*(?:\([0-9]+\)|[0-9]+[.)])?\s*(?P<name>[^\W\d].*?) is an? (?P<role>knight|knave)[.\s]*")
_ROLE = re.compile(r"knight|knave")
_CLAIM = re.compile(r"(?: is | ?[:=] ?)(?:an? )?(?P<role>knight|knave)\b")
_DOUBT = re.compile(r"\b(?:not|or|nor|either|neither|if|unless|maybe|perhaps|possibly|probably|false)\b|n[’']t\b")
_MARKUP = str.maketrans("", "", "*_`")


def score(solution_str: str, ground_truth: object) -> dict[str, float | str]:
    """Score one response.

    Args:
        solution_str: the decoded response.
        ground_truth: the solution as Logic-RL's data holds it, one line per inhabitant ("(1) Zoey is a knight"), or a
            mapping with it under ``solution_text_format``, also as JSON text.

    Returns:
        ``acc``: 1.0 if every role is right, whatever the format, else 0.0.
        ``format``: 1.0 if the tags stand as asked, else 0.0.
        ``score``: 3.0, -0.5, -1.0 or -3.0, see the module's text.
        ``pred``: the roles by name, "" if the answer cannot be read.

    Raises:
        ValueError: if the ground truth has another form.
    """
    truth = _solution(ground_truth)
    answer = tagged(answer_region(solution_str) or "", "answer")
    roles = None if answer is None else _roles(answer, sorted(truth, key=len, reverse=True))
    well_formed = _tags_stand_as_asked(solution_str)
    if not well_formed or roles is None:
        answer_score = UNREADABLE
    elif roles == truth:
        answer_score = ALL_RIGHT
    else:
        answer_score = SOME_WRONG
    return {
        "score": (FORMAT_RIGHT if well_formed else FORMAT_WRONG) + answer_score,
        "acc": float(roles == truth),
        "format": float(well_formed),
        "pred": ", ".join(f"{name} {role}" for name, role in sorted(roles.items()))[:LONGEST] if roles else NO_ANSWER,
    }


def _solution(ground_truth: object) -> dict[str, str]:
    """Return each name, in lower case, with its role."""
    try:
        truth = opened(ground_truth)
        text = truth if isinstance(truth, str) else truth["solution_text_format"]
        lines = [_TRUTH_LINE.fullmatch(line) for line in text.splitlines() if line.strip()]
        solution = {line["name"].casefold(): line["role"] for line in lines}
        if not solution or len(solution) != len(lines):
            raise ValueError("no name, or one name twice")
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"ground truth {str(ground_truth)[:200]!r}: knights and knaves need "
            "{'solution_text_format': '(1) Zoey is a knight\\n(2) Oliver is a knave'}"
        ) from error
    return solution


def _roles(answer: str, names: list[str]) -> dict[str, str] | None:
    """Return the role that the answer gives to each name, None unless it gives exactly one to each and says no more.

    The longer names come first: "Mary Ann is a knight" says nothing about Ann.
    """
    text = " " + " ".join(answer.translate(_MARKUP).casefold().split())
    if len(_ROLE.findall(text)) != len(names) or _DOUBT.search(text):
        return None
    roles = {}
    for claim in _CLAIM.finditer(text):
        before = text[: claim.start()]
        for name in names:
            if before.endswith(name) and not before[-len(name) - 1].isalnum():
                roles[name] = claim["role"]
                break
    return roles if len(roles) == len(names) else None


def _tags_stand_as_asked(response: str) -> bool:
    if response.count("<think>") > 1 or any(response.count(tag) != 1 for tag in ("</think>", "<answer>", "</answer>")):
        return False
    places = [response.find(tag) for tag in ("<think>", "</think>", "<answer>", "</answer>")]
    return places == sorted(places)
