"""Rule-based rewards for GRPO, usable from verl, TRL and plain Python: one scorer per task, and named components."""

from reward_score.composition import Composition, Sample
from reward_score.configuration import check_configuration
from reward_score.data_sources import SCORERS, UnknownDataSourceError, check_data_sources
from reward_score.verl_reward import compute_score, compute_score_async, compute_scores

__all__ = [
    "SCORERS",
    "Composition",
    "Sample",
    "UnknownDataSourceError",
    "check_configuration",
    "check_data_sources",
    "compute_score",
    "compute_score_async",
    "compute_scores",
]
