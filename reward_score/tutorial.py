r"""The reward functions of the widespread GRPO tutorials, value for value, for reproducing what they report.

They take what TRL's ``GRPOTrainer`` hands to ``reward_funcs`` (prompts, completions, the data set's columns) and return
one number per completion. A completion is a chat, of which the first message is judged, or a plain string.

The values include the tutorials' mistakes, which the components of this package correct:

* The format patterns let no newline into thought and answer (no ``re.DOTALL``), so that an ordinary response of several
  lines earns nothing. Corrected: ``reward_score.tag_format``.
* ``count_xml`` charges a response that lacks the final newline for all its characters, and trailing text twice.
  Corrected: ``reward_score.tag_count``.
* Correctness compares strings: ``1,800`` is not ``1800``. Corrected: the task's own scorer, such as
  ``reward_score.gsm8k``.
* ``str.isdigit`` refuses ``-3`` and accepts a superscript. Corrected: ``reward_score.integer_answer``.
* A response without tags is its own answer. Corrected: ``reward_score.integer_answer``.

Sources: the reasoning/answer functions were first published as "GRPO demo" (willccbb). The think/answer functions
belong to a tutorial that prints only their names and the asked form; the values are those that its implementations
share. ``reward_len`` is TRL's quick start. The patterns are checked in linear time, without backtracking, and nothing
is printed.
"""

import re

_SPACE_THEN_ANSWER = re.compile(r"\s*+<answer>")


def extract_xml_answer(text: str) -> str:
    """Return what follows the last ``<answer>``, up to ``</answer>``, stripped; the whole text if there is no tag."""
    return text.rpartition("<answer>")[2].partition("</answer>")[0].strip()


def extract_hash_answer(text: str) -> str | None:
    """Return what stands between the first ``####`` and the next, stripped; None if there is none."""
    _, marker, rest = text.partition("####")
    return rest.partition("####")[0].strip() if marker else None


def correctness_reward_func(prompts, completions, answer, **kwargs) -> list[float]:
    """Return 2.0 where the extracted answer and the expected one are the same string, else 0.0."""
    return [
        2.0 if extract_xml_answer(text) == expected else 0.0
        for text, expected in zip(_texts(completions), answer, strict=False)
    ]


def int_reward_func(completions, **kwargs) -> list[float]:
    """Return 0.5 where the extracted answer is all digits by ``str.isdigit``, else 0.0."""
    return [0.5 if extract_xml_answer(text).isdigit() else 0.0 for text in _texts(completions)]


def strict_format_reward_func(completions, **kwargs) -> list[float]:
    r"""Return 0.5 for ``^<reasoning>\n.*?\n</reasoning>\n<answer>\n.*?\n</answer>\n$`` without DOTALL, else 0.0."""
    return [0.5 if _is_six_lines(text, "reasoning") else 0.0 for text in _texts(completions)]


def soft_format_reward_func(completions, **kwargs) -> list[float]:
    r"""Return 0.5 for ``<reasoning>.*?</reasoning>\s*<answer>.*?</answer>`` at the start, without DOTALL, else 0.0."""
    return [0.5 if _starts_with_blocks(text) else 0.0 for text in _texts(completions)]


def count_xml(text: str) -> float:
    r"""Return 0.125 for each of four tags that stands once with its newlines, less 0.001 per trailing character.

    Trailing is what follows the last ``\n</answer>\n``, which is the whole text if there is none, and once more what
    follows ``\n</answer>``, less one.
    """
    reward = 0.0
    for tag in ("<reasoning>\n", "\n</reasoning>\n"):
        reward += 0.125 if text.count(tag) == 1 else 0.0
    if text.count("\n<answer>\n") == 1:
        reward += 0.125
        reward -= 0.001 * len(text.split("\n</answer>\n")[-1])
    if text.count("\n</answer>") == 1:
        reward += 0.125
        reward -= 0.001 * (len(text.partition("\n</answer>")[2]) - 1)
    return reward


def xmlcount_reward_func(completions, **kwargs) -> list[float]:
    """Return ``count_xml`` of each completion."""
    return [count_xml(text) for text in _texts(completions)]


def correctness_reward(prompts, completions, answer, **kwargs) -> list[float]:
    """Return 2.0 where the extracted answer is the expected one written as a string, else 0.0."""
    return correctness_reward_func(prompts, completions, map(str, answer))


def digit_reward(completions, **kwargs) -> list[float]:
    """Return 0.5 where the extracted answer is all digits by ``str.isdigit``, else 0.0."""
    return int_reward_func(completions)


def hard_format_reward(completions, **kwargs) -> list[float]:
    r"""Return 0.5 for ``^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>\n$`` without DOTALL, else 0.0."""
    return [0.5 if _is_six_lines(text, "think") else 0.0 for text in _texts(completions)]


def mark_reward(completions, **kwargs) -> list[float]:
    r"""Return 0.125 for each of the four think/answer tags that stands exactly once with a ``\n`` after it."""
    marks = ("<think>\n", "</think>\n", "<answer>\n", "</answer>\n")
    return [0.125 * sum(text.count(mark) == 1 for mark in marks) for text in _texts(completions)]


def reward_len(completions, **kwargs) -> list[float]:
    """Return -\\|50 - len(completion)\\|; the length of a string is its characters, that of a chat its messages."""
    return [float(-abs(50 - len(completion))) for completion in completions]


def _texts(completions) -> list[str]:
    return [completion if isinstance(completion, str) else completion[0]["content"] for completion in completions]


def _is_six_lines(text: str, tag: str) -> bool:
    # Where "." takes no newline, thought and answer are one line each, and "$" takes one newline more than is written.
    lines = text.split("\n", 8)
    return lines[:1] + lines[2:4] + lines[5:] in (
        [f"<{tag}>", f"</{tag}>", "<answer>", "</answer>", *[""] * empty] for empty in (1, 2)
    )


def _starts_with_blocks(text: str) -> bool:
    # The reasoning ends at one of the closing tags on the first line. Every answer that opens on that line can only
    # close at or before the line's last closing tag, so each candidate is settled without a search of its own.
    if not text.startswith("<reasoning>"):
        return False
    end = _line_end(text, 0)
    last_close = text.rfind("</answer>", 0, end)
    closing = text.find("</reasoning>", len("<reasoning>"), end)
    while closing != -1:
        after = closing + len("</reasoning>")
        if answer := _SPACE_THEN_ANSWER.match(text, after):
            if answer.end() <= end:
                if last_close >= answer.end():
                    return True
            else:
                return text.find("</answer>", answer.end(), _line_end(text, answer.end())) != -1
        closing = text.find("</reasoning>", after, end)
    return False


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end == -1 else end
