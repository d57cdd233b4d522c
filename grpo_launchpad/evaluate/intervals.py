"""95 % intervals of a mean over problems: what another draw of problems of the same kind could have given.

The problems are the sample, not the answers: 32 answers to each of 30 problems are 30 observations.

The percentile bootstrap is too narrow for 30 problems, and gives [1, 1] where all are right. Here the score statistic
of Wilson's interval is bootstrapped instead (a bootstrap-t; Hall 1988, Efron and Tibshirani 1993, chapter 12.5):

    T = (mean - mu) / sqrt(mu (1 - mu) / m),   m = mean (1 - mean) / variance of the mean, at least n

m is the number of yes-or-no problems that would be as informative as these. T's quantiles come from the bootstrap, and
are never narrower than Student's, since no bootstrap sees what a handful of problems lacks. The interval is solved for
mu as Wilson's is, and so stays in [0, 1] and has a width where all problems agree. It ends where Wilson's interval of n
yes-or-no problems does, of which no values in [0, 1] are less certain: where a handful of problems is not right each
time, the bootstrap draws samples with next to no variance, and T has no useful tail.
"""

from functools import lru_cache
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
DRAWS = 2000
# With more problems the bootstrap's quantiles are Student's, and its table of draws takes gigabytes.
MANY = 5000
_TINY = 1e-15


def mean_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Return the interval of the mean of values between 0 and 1, None for fewer than two.

    Args:
        values: one for each problem, shape (n,).
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count < 2:
        return None
    mean = values.mean()
    as_informative = _informative(mean, values.var(ddof=1) / count, count)
    student = _student(count - 1)
    low, high = -student, student
    spread = mean * (1 - mean)
    if spread > _TINY and count <= MANY:
        means, variances = _bootstrap(values)
        drawn = (means - mean) / np.sqrt(spread / _informative(means, variances, count))
        quantiles = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = min(low, quantiles[0]), max(high, quantiles[1])
    low, high = _solve(mean, as_informative, high), _solve(mean, as_informative, low)
    widest = _solve(mean, count, student), _solve(mean, count, -student)
    return float(max(0.0, low, widest[0])), float(min(1.0, high, widest[1]))


def difference_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Return the interval of the mean of paired differences between -1 and 1, None for fewer than two.

    A bootstrap-t, its quantiles never narrower than Student's. Where all problems differ equally, it says how far the
    mean could be off if the kind of problem that would show a difference were missing from this sample by chance.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count < 2:
        return None
    mean, error = values.mean(), np.sqrt(values.var(ddof=1) / count)
    if error < _TINY:
        unseen = 1 - ((1 - LEVEL) / 2) ** (1 / count)
        return float(max(-1, mean - unseen)), float(min(1, mean + unseen))
    student = _student(count - 1)
    low, high = -student, student
    if count <= MANY:
        means, variances = _bootstrap(values)
        usable = variances > _TINY
        drawn = (means[usable] - mean) / np.sqrt(variances[usable])
        quantiles = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low, high = min(low, quantiles[0]), max(high, quantiles[1])
    return float(max(-1, mean - high * error)), float(min(1, mean - low * error))


def _bootstrap(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and the estimated variance of the mean, of each resample."""
    count = len(values)
    resamples = _resamples(count)
    means = resamples @ values / count
    variances = np.maximum(resamples @ values**2 / count - means**2, 0) / (count - 1)
    return means, variances


@lru_cache(maxsize=2)
def _resamples(count: int) -> np.ndarray:
    """Return how often each problem is drawn, shape (DRAWS, count): the same draws each time."""
    return np.random.default_rng(count).multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(float)


def _informative(mean, variance, count: int):
    """Return m of the module's text. Values in [0, 1] vary at most as yes-or-no values do, so m is at least n."""
    return np.maximum(count, np.where(variance > _TINY, mean * (1 - mean) / np.maximum(variance, _TINY), count))


def _solve(mean: float, count: float, quantile: float) -> float:
    """Return the mu for which (mean - mu) / sqrt(mu (1 - mu) / count) is the quantile."""
    scale = 1 + quantile**2 / count
    centre = (mean + quantile**2 / (2 * count)) / scale
    half = abs(quantile) / scale * np.sqrt(mean * (1 - mean) / count + quantile**2 / (4 * count**2))
    return centre - half if quantile > 0 else centre + half


def _student(freedom: int) -> float:
    """Return the upper quantile of Student's t, by Cornish and Fisher's expansion: within 1 % from freedom 5 on."""
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
