"""What n sampled answers to one problem say about k of them: pass@k, best and majority. Exact, nothing is drawn."""

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import comb

import numpy as np


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Return the unbiased estimate of the chance that at least one of k answers is right.

    1 - C(n - c, k) / C(n, k) as the product 1 - prod (1 - k / i), i = n - c + 1 ... n, in which no factorial overflows.
    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1 and figure 3.

    Args:
        samples: n, the answers sampled.
        right: c, those that are right.
        k: how many may be tried, 1 to n.

    Raises:
        ValueError: unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= right <= samples and 1 <= k <= samples):
        raise ValueError(f"pass@{k} of {right} right answers among {samples}: needs 0 <= right <= n and 1 <= k <= n")
    if samples - right < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(samples - right + 1, samples + 1)))


def majority_at_k(answers: Sequence[Hashable | None], right: Sequence[float], ks: Sequence[int]) -> dict[int, float]:
    """Return, for each k, how often the answer that most of k samples give is right.

    The mean over all C(n, k) choices of k of the n samples: the unbiased estimate of the same over k fresh samples.
    Answers with equally many votes share the choice; a response without an answer (None) does not vote, and a choice in
    which nobody votes counts as wrong. An answer whose samples were judged differently counts as their mean.

    verl 0.9.1 (``calc_maj_val`` and ``bootstrap_metric``, verl/trainer/ppo/metric_utils.py) draws k samples 1,000 times
    *with* replacement and lets a missing answer vote; its mean differs from this by that and by the draw.

    Args:
        answers: the answer of each sample, None if it has none.
        right: 1 or 0 for each sample.
        ks: how many vote, each 1 to n.

    Raises:
        ValueError: if the lists differ in length, or a k is out of range.
    """
    samples = len(answers)
    if len(right) != samples or not all(1 <= k <= samples for k in ks):
        raise ValueError(f"majority of {list(ks)} among {samples} answers and {len(right)} verdicts")
    votes = Counter(answer for answer in answers if answer is not None)
    silent = samples - votes.total()
    worth = dict.fromkeys(votes, 0.0)
    for answer, verdict in zip(answers, right, strict=True):
        if answer is not None:
            worth[answer] += verdict / votes[answer]
    totals = dict.fromkeys(ks, 0.0)
    for answer, value in worth.items():
        if value:
            others = Counter(votes.values())
            others[votes[answer]] -= 1
            shares = _wins(votes[answer], tuple(sorted(others.items())), silent)
            for k in totals:
                totals[k] += value * shares[k]
    return totals


@lru_cache(maxsize=4096)
def _wins(votes: int, others: tuple[tuple[int, int], ...], silent: int) -> np.ndarray:
    """Return for each k from 0 to n the share of k-subsets that one answer wins, ties shared.

    Where j of its own samples are chosen, every other answer has at most j. Let y mark those with exactly j: the
    generating function is prod over the others of (sum_{i<j} C(m, i) x^i + C(m, j) x^j y), and t ties are worth
    1 / (t + 1), the integral of y^t from 0 to 1, which Gauss-Legendre quadrature gives exactly. All terms are positive.

    Args:
        votes: how many samples gave the answer.
        others: (votes, how many answers have so many) of the other answers.
        silent: samples without an answer.
    """
    samples = votes + silent + sum(size * count for size, count in others)
    won = np.zeros(samples + 1)
    for own in range(1, votes + 1):
        ties = sum(count for size, count in others if size >= own)
        nodes, weights = np.polynomial.legendre.leggauss(ties // 2 + 1)
        nodes, weights = (nodes + 1) / 2, weights / 2
        ways = np.zeros((len(nodes), samples + 1))
        ways[:, own] = comb(votes, own)
        factors = [([float(comb(silent, chosen)) for chosen in range(silent + 1)], 1)]
        for size, count in others:
            factor = [comb(size, chosen) * (nodes if chosen == own else 1.0) for chosen in range(min(size, own) + 1)]
            factors.append((factor, count))
        for factor, count in factors:
            for _ in range(count):
                ways = _times(ways, factor)
        won += weights @ ways
    return won / np.array([float(comb(samples, k)) for k in range(samples + 1)])


def _times(ways: np.ndarray, factor: Sequence) -> np.ndarray:
    """Return the product of polynomials in x, one per row, with one whose coefficients may differ from row to row."""
    product = ways * np.reshape(factor[0], (-1, 1))
    for power, coefficient in enumerate(factor[1:], start=1):
        product[:, power:] += ways[:, :-power] * np.reshape(coefficient, (-1, 1))
    return product


def ks_up_to(samples: int) -> list[int]:
    """Return the k that a table shows: the powers of two below n, and n."""
    return [1 << power for power in range(samples.bit_length()) if 1 << power < samples] + [samples]
