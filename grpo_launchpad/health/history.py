"""The metrics of a run as health rules look at them: from the newest step back."""

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import fmean

from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.metrics import accuracies, correct_clip_ratio
from grpo_launchpad.runs.settings import Settings

REWARD = "critic/rewards/mean"
ABSURD = 1e100  # no metric is that large; their sums would overflow


@dataclass(frozen=True)
class Facts:
    """What the metrics do not say; None where it is not known.

    Attributes:
        response_limit: ``data.max_response_length``, tokens.
        batch: ``data.train_batch_size``, prompts.
        validation_rows: held-out answers a validation.
        smoke: whether the weights are random, so that nothing can be said about what is learnt.
    """

    response_limit: int | None = None
    batch: int | None = None
    validation_rows: int | None = None
    smoke: bool = False


def facts_of(run: RunFolder, settings: Settings) -> Facts:
    """Return the facts about a run; the held-out answers are counted in its first validation, if it has one yet."""
    dump = next(iter(run.rollouts_by_step("validation").values()), None)
    rows = None
    if dump is not None:
        with dump.open("rb") as lines:
            rows = sum(1 for _ in lines) or None
    return Facts(settings.response_limit, settings.batch, rows, _is_smoke(run))


def _is_smoke(run: RunFolder) -> bool:
    try:
        identity = json.loads(run.identity.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(identity, dict) and identity.get("smoke") is True


@dataclass(frozen=True)
class Validation:
    """A validation: the mean accuracy over its data sets, and the training reward of the steps just before it."""

    step: int
    accuracy: float
    reward: float | None


@dataclass
class History:
    """Training steps in order; ``step`` and ``values`` are the newest.

    Attributes:
        lowest, highest: of the rewards of all answers so far.
        best_reward: the highest mean reward of three steps in a row (or of the first ones).
        highest_gradient: the highest norm before the newest step.
    """

    facts: Facts = Facts()
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    validations: list[Validation] = field(default_factory=list)
    lowest: float = math.inf
    highest: float = -math.inf
    best_reward: float | None = None
    highest_gradient: float = 0.0
    _series: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, step: int, values: dict[str, float]) -> None:
        """Take in a record, whose clip ratio is corrected."""
        self.highest_gradient = max(self.highest_gradient, *self.all("actor/grad_norm")[-1:], 0.0)
        self.step, self.values = step, dict(values)
        correct_clip_ratio(self.values, self.facts.response_limit)
        for metric, value in self.values.items():
            if abs(value) < ABSURD and not metric.startswith("val-"):
                self._series[metric].append(value)
        self.lowest = min([self.lowest, *self.all("critic/rewards/min")[-1:]])
        self.highest = max([self.highest, *self.all("critic/rewards/max")[-1:]])
        if rewards := self.last(REWARD, 1) and self._series[REWARD][-3:]:
            mean = fmean(rewards)
            self.best_reward = mean if self.best_reward is None else max(self.best_reward, mean)
        if found := [value for value in accuracies(self.values).values() if abs(value) < ABSURD]:
            rewards = self._series[REWARD][-3:]
            self.validations.append(Validation(step, fmean(found), fmean(rewards) if rewards else None))

    def all(self, metric: str) -> list[float]:
        """Return every finite value of a metric, in order; do not change it."""
        return self._series.get(metric, [])

    def last(self, metric: str, count: int) -> list[float]:
        """Return the last values of a metric; none if there are fewer, or if the newest step did not measure it."""
        series = self.all(metric)
        measured = abs(self.values.get(metric, math.nan)) < ABSURD
        return series[-count:] if measured and len(series) >= count else []

    def reward_share(self, value: float) -> float:
        """Return where a reward lies between the lowest and the highest of any answer, 0 to 1; NaN without a spread."""
        spread = self.highest - self.lowest
        return (value - self.lowest) / spread if 0 < spread < math.inf else math.nan
