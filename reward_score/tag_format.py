"""Format rewards: does the response hold a thought and an answer, each between its tags?

The tags are ``<think>``/``<answer>`` (DeepSeek-R1, arXiv 2501.12948, table 1) or ``<reasoning>``/``<answer>`` (the
widespread GSM8K tutorials, see ``reward_score.tutorial`` for those as printed). Both rewards look at form alone: a
wrong answer in the right form earns 1.0.
"""

from typing import NamedTuple

# Opening and closing tag of the thought, then of the answer.
TAGS: dict[str, tuple[str, str, str, str]] = {
    "think": ("<think>", "</think>", "<answer>", "</answer>"),
    "reasoning": ("<reasoning>", "</reasoning>", "<answer>", "</answer>"),
}


class _Parts(NamedTuple):
    """What stands before, inside, between and after the two blocks."""

    before: str
    thought: str
    gap: str
    answer: str
    after: str


def tags_named(name: str) -> tuple[str, str, str, str]:
    """Return the four tags of a format in the order in which they must stand.

    Raises:
        ValueError: if no format has this name.
    """
    if not isinstance(name, str) or name not in TAGS:
        raise ValueError(f"tags={name!r}: write one of {', '.join(map(repr, TAGS))}")
    return TAGS[name]


def strict_format(response: str, *, tags: str = "think") -> float:
    r"""Reward the exact form ``<think>\n...\n</think>\n<answer>\n...\n</answer>``, with or without a final newline.

    Thought and answer may have any number of lines, and each must hold something that can be seen. Each tag stands
    exactly once, so neither a second answer nor a tag quoted in the thought passes. Nothing may stand before or after.

    Args:
        response: the decoded response, special tokens removed.
        tags: "think" or "reasoning", the name of the thought's tags.

    Returns:
        1.0 if the response has that form, else 0.0.

    Raises:
        ValueError: if the name of the tags is unknown.
    """
    parts = _parts(response, tags)
    return float(
        parts is not None
        and parts.before == ""
        and parts.gap == "\n"
        and parts.after in ("", "\n")
        and all(block.startswith("\n") and block.endswith("\n") for block in (parts.thought, parts.answer))
    )


def soft_format(response: str, *, tags: str = "think") -> float:
    """Reward a thought block that an answer block follows, with only whitespace between the two.

    Whitespace inside the tags is free, and so is text before the thought and after the answer (``strict_format`` and
    ``tag_count`` are there to punish it). Each tag stands exactly once, and thought and answer must hold something that
    can be seen.

    Args:
        response: the decoded response, special tokens removed.
        tags: "think" or "reasoning", the name of the thought's tags.

    Returns:
        1.0 if the response has that form, else 0.0.

    Raises:
        ValueError: if the name of the tags is unknown.
    """
    parts = _parts(response, tags)
    return float(parts is not None and not parts.gap.strip())


def _parts(response: str, tags: str) -> _Parts | None:
    """Cut a response at its tags; None unless each stands once, in order, with a visible thought and answer."""
    marks = tags_named(tags)
    if any(response.count(mark) != 1 for mark in marks):
        return None
    pieces, rest = [], response
    for mark in marks:
        piece, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(piece)
    parts = _Parts(*pieces, rest)
    return parts if _visible(parts.thought) and _visible(parts.answer) else None


def _visible(text: str) -> bool:
    # isprintable() is false for zero-width characters, which would otherwise make an empty block look full.
    return any(character.isprintable() and not character.isspace() for character in text)
