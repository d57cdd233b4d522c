"""Rule-based rewards for verl: one scorer per data set, chosen by the row's ``data_source``."""

from collections.abc import Callable, Iterable

from reward_score import arithmetic, gsm8k

# Keyed by the data_source that data_prep writes into each row.
SCORERS: dict[str, Callable[..., dict[str, float]]] = {
    "arithmetic": arithmetic.score,
    "openai/gsm8k": gsm8k.score,
}


class UnknownDataSourceError(ValueError):
    """A row's data_source has no scorer."""

    def __init__(self, unknown: Iterable[str]):
        super().__init__(
            f"no scorer for data_source {', '.join(map(repr, unknown))}; known: {', '.join(map(repr, SCORERS))}. "
            "Correct data_source in the data's parquet files, or add a scorer to SCORERS in reward_score/__init__.py."
        )


def check_data_sources(data_sources: Iterable[str]) -> None:
    """Check before a run that every data source has a scorer.

    Raises:
        UnknownDataSourceError: naming all that have none.
    """
    unknown = sorted({source for source in data_sources if source not in SCORERS}, key=str)
    if unknown:
        raise UnknownDataSourceError(unknown)


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict | None = None, **options
) -> dict[str, float]:
    """Score one response; the function that ``reward.custom_reward_function`` names.

    Source of the signature: ``verl/experimental/reward_loop/reward_manager/naive.py`` in verl 0.9.1.

    Args:
        data_source: the row's data source, a key of ``SCORERS``.
        solution_str: the decoded response, special tokens removed.
        ground_truth: what the row's ``reward_model`` holds.
        extra_info: the row's extra_info, which no scorer needs.
        options: ``reward.custom_reward_function.reward_kwargs``, handed to the scorer.

    Returns:
        ``score``, the reward, and the scorer's further values, which verl averages into its metrics.

    Raises:
        UnknownDataSourceError: if no scorer has this data source.
        TypeError: if the scorer does not know an option.
    """
    if data_source not in SCORERS:
        raise UnknownDataSourceError([data_source])
    return SCORERS[data_source](solution_str, ground_truth, **options)
