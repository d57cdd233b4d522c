"""Tag count reward: partial credit for each tag, so that a model without the format has something to climb.

From the ``xmlcount`` reward of the GSM8K tutorials (``reward_score.tutorial.count_xml`` as printed). There a response
without a final newline is charged for all its characters, and trailing text is charged twice; here it is charged once,
and only for what follows the answer.
"""

from reward_score.tag_format import tags_named

PER_TAG = 0.125
PER_TRAILING_CHARACTER = 0.001


def tag_count(response: str, *, tags: str = "think") -> float:
    r"""Reward each tag that is well placed, and charge the text after the answer.

    reward = 0.125 * (number of well placed tags) - 0.001 * (trailing characters)

    A tag is well placed if it stands exactly once in the response and with its newlines: ``<think>\n``,
    ``\n</think>\n``, ``\n<answer>\n``, ``\n</answer>``. Trailing characters are those after the first ``</answer>``,
    one newline being free, so a second closing tag hides nothing. Without ``</answer>`` nothing trails.
    Order and content are not looked at: ``strict_format`` does that.

    Args:
        response: the decoded response, special tokens removed.
        tags: "think" or "reasoning", the name of the thought's tags.

    Returns:
        At most 0.5, for four well placed tags and no trailing text. There is no lower bound.

    Raises:
        ValueError: if the name of the tags is unknown.
    """
    opening, closing, answer_opening, answer_closing = tags_named(tags)
    forms = (
        (opening, f"{opening}\n"),
        (closing, f"\n{closing}\n"),
        (answer_opening, f"\n{answer_opening}\n"),
        (answer_closing, f"\n{answer_closing}"),
    )
    well_placed = sum(response.count(tag) == 1 and form in response for tag, form in forms)
    trailing = response.partition(answer_closing)[2].removeprefix("\n")
    return PER_TAG * well_placed - PER_TRAILING_CHARACTER * len(trailing)
