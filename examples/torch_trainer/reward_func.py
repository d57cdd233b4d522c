"""The rewards, called with prompts, completions (texts) and the data's columns as lists; they return one number each.

A reward of your own is a function like these, named in a task of ``tasks.py``.
"""

from reward_score import compute_scores
from reward_score.tutorial import correctness_reward, digit_reward, hard_format_reward, mark_reward

__all__ = ["correctness_reward", "digit_reward", "hard_format_reward", "mark_reward", "task_score"]


def task_score(prompts, completions, answer, data_source, **columns) -> list[float]:
    """Return the score that verl's launchers train on: that of the row's data source."""
    return [result["score"] for result in compute_scores(data_source, completions, answer)]
