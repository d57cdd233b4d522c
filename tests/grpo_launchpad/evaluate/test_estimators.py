"""pass@k and maj@k against every possible choice of k samples, and against verl."""

from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.evaluate.estimators import ks_up_to, majority_at_k, pass_at_k


def pass_by_enumeration(right: list[int], k: int) -> Fraction:
    choices = list(combinations(right, k))
    return Fraction(sum(any(choice) for choice in choices), len(choices))


def worth_of_the_majority(chosen: list[tuple]) -> Fraction:
    """The expected verdict of the majority among chosen (answer, verdict of the answer) pairs, ties shared."""
    votes = Counter(pair for pair in chosen if pair[0] is not None)
    if not votes:
        return Fraction(0)
    most = max(votes.values())
    winners = [worth for (_, worth), count in votes.items() if count == most]
    return sum(winners, Fraction(0)) / len(winners)


def majority_by_enumeration(answers: list, right: list[int], k: int, *, replacement: bool = False) -> Fraction:
    verdicts: dict = {}
    for answer, verdict in zip(answers, right, strict=True):
        verdicts.setdefault(answer, []).append(verdict)
    pairs = [(answer, Fraction(sum(verdicts[answer]), len(verdicts[answer]))) for answer in answers]
    choices = list(product(pairs, repeat=k)) if replacement else list(combinations(pairs, k))
    return sum(map(worth_of_the_majority, choices), Fraction(0)) / len(choices)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_mean_over_all_choices(right, data):
    k = data.draw(st.integers(1, len(right)))
    assert abs(pass_at_k(len(right), sum(right), k) - pass_by_enumeration(right, k)) < 1e-12


@pytest.mark.parametrize("samples", [1, 2, 50, 1000, 100_000])
def test_pass_at_k_is_stable_for_many_samples(samples):
    for right in sorted({0, 1, samples // 3, samples - 1, samples}):
        for k in sorted({1, max(1, samples // 2), samples}):
            exact = 1 - Fraction(*_falling(samples - right, samples, k))
            assert abs(pass_at_k(samples, right, k) - exact) < 1e-12


def _falling(few: int, many: int, k: int) -> tuple[int, int]:
    """C(few, k) / C(many, k) as a fraction of whole numbers."""
    from math import perm

    return perm(few, k) if k <= few else 0, perm(many, k)


@pytest.mark.parametrize(("samples", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_refuses_what_has_no_meaning(samples, right, k):
    with pytest.raises(ValueError, match="needs 0 <= right <= n"):
        pass_at_k(samples, right, k)


recorded = st.lists(st.tuples(st.sampled_from([None, "1", "2", "3", "4"]), st.integers(0, 1)), min_size=1, max_size=8)


@settings(max_examples=200)
@given(recorded)
def test_majority_is_the_mean_over_all_choices(samples):
    answers, right = map(list, zip(*samples, strict=True))
    ks = list(range(1, len(samples) + 1))
    found = majority_at_k(answers, right, ks)
    for k in ks:
        assert abs(found[k] - majority_by_enumeration(answers, right, k)) < 1e-12


def test_majority_of_all_samples_is_the_plain_vote():
    assert majority_at_k(["a", "b", "b"], [0, 1, 1], [3]) == {3: pytest.approx(1.0)}
    assert majority_at_k(["a", "b"], [0, 1], [2]) == {2: pytest.approx(0.5)}
    assert majority_at_k([None, None, "b"], [0, 0, 1], [1, 3]) == {1: pytest.approx(1 / 3), 3: pytest.approx(1.0)}


@pytest.mark.parametrize("distinct", [1, 3, 64])
def test_majority_of_many_samples_keeps_its_digits(distinct):
    """The answer 0 is right; at k = 1 the majority is the sample itself."""
    answers = [number % distinct for number in range(256)]
    right = [float(answer == 0) for answer in answers]
    found = majority_at_k(answers, right, [1, 256])
    assert abs(found[1] - np.mean(right)) < 1e-12
    tied = Counter(answers).most_common()
    winners = [answer for answer, votes in tied if votes == tied[0][1]]
    assert abs(found[256] - (0 in winners) / len(winners)) < 1e-12


def test_verl_draws_the_same_majority_with_replacement():
    """verl's maj@k is a bootstrap of the mean over all k draws with replacement, up to the error of 1,000 draws."""
    from verl.trainer.ppo.metric_utils import process_validation_metrics

    answers, right = ["7", "7", "5", "5", "5", "9"], [1, 1, 0, 0, 0, 0]
    infos = {"acc": [float(verdict) for verdict in right], "pred": answers}
    metrics = process_validation_metrics(["math"] * 6, ["p"] * 6, infos)["math"]["acc"]
    for k in (2, 4, 6):
        exact = float(majority_by_enumeration(answers, right, k, replacement=True))
        assert metrics[f"maj@{k}/mean"] == pytest.approx(exact, abs=5 * (exact * (1 - exact) / 1000) ** 0.5)


def test_a_table_shows_powers_of_two_and_n():
    assert ks_up_to(1) == [1]
    assert ks_up_to(12) == [1, 2, 4, 8, 12]
    assert ks_up_to(16) == [1, 2, 4, 8, 16]
