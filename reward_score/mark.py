"""Mark reward: partial credit for each tag, whatever stands around it.

The mildest of the format rewards, from the think/answer tutorials (``reward_score.tutorial.mark_reward`` as commonly
implemented, where a mark includes its newline and ``</answer>`` at the very end of a response earns nothing).
"""

from reward_score.tag_format import tags_named

PER_MARK = 0.125


def mark(response: str, *, tags: str = "think") -> float:
    """Reward each of the four tags that stands exactly once in the response.

    reward = 0.125 * (number of tags that stand exactly once)

    Newlines, order and content are free; a tag that is repeated earns nothing.

    Args:
        response: the decoded response, special tokens removed.
        tags: "think" or "reasoning", the name of the thought's tags.

    Returns:
        0.0 to 0.5, in steps of 0.125.

    Raises:
        ValueError: if the name of the tags is unknown.
    """
    return PER_MARK * sum(response.count(tag) == 1 for tag in tags_named(tags))
