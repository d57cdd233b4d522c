"""Rewards that are wrong on purpose: what the health rules are tested on. Each returns what reward_score returns.

    bash examples/grpo_trainer/run_tiny_cpu_arithmetic.sh \\
        reward.custom_reward_function.path=benchmarks/health/seeded_rewards.py \\
        reward.custom_reward_function.name=inverted
"""

import itertools

from reward_score import compute_score

STOPS_AFTER = 256 + 256 * 5  # answers: the validation before training and five steps of 256

_calls = itertools.count()


def inverted(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """Pay for what is wrong; the accuracy is still honest."""
    scored = compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)
    return scored | {"score": 1.0 - scored["score"]}


def constant(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """Pay half a point for whatever is said."""
    return compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs) | {"score": 0.5}


def stopped(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """Score well, and from one answer on fail at each, as a scorer does whose service or file is gone."""
    source = data_source if next(_calls) < STOPS_AFTER else "a task whose scorer is gone"
    return compute_score(source, solution_str, ground_truth, extra_info, **kwargs)
