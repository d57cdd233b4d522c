"""The rewards as TRL's ``GRPOTrainer`` calls them: one function per component, and their weights.

::

    functions, weights = reward_functions(
        "correctness:1.0,format:0.2", data_source="openai/gsm8k", truth_column="answer"
    )
    GRPOTrainer(reward_funcs=functions, args=GRPOConfig(reward_weights=weights, ...), ...)

The contract is that of ``trl/trainer/grpo_trainer.py`` in TRL 1.16.0: a function is called with ``prompts``,
``completions``, ``completion_ids`` and the data set's columns as lists, beside ``trainer_state``, ``log_extra`` and
``log_metric``; it returns one number per completion, or None where the reward does not apply. TRL logs the mean of each
function as ``rewards/<name>/mean``. For GDPO set ``multi_objective_aggregation="normalize_then_sum"`` there.
"""

from collections.abc import Callable, Mapping, Sequence

from reward_score.completions import text_of
from reward_score.composition import Composition, Sample, Term
from reward_score.configuration import check_configuration, options_of
from reward_score.data_sources import TASKS, task_of, truth_in


def reward_functions(
    rewards: object = None,
    *,
    data_source: str | None = None,
    truth_column: str | None = None,
    **options,
) -> tuple[list["RewardFunction"], list[float]]:
    """Return the components of a composition as TRL reward functions, and their weights.

    Args:
        rewards: the composition, as ``reward_score.composition`` describes; None for the task's own score.
        data_source: that of rows which name none in a column ``data_source``.
        truth_column: the column of the ground truth; None for verl's ``reward_model``, else ``ground_truth``. GSM8K's
            whole solutions will do.
        options: options of the task's scorer.

    Returns:
        The functions for ``reward_funcs`` and the weights for ``GRPOConfig(reward_weights=...)``, in the same order.

    Raises:
        UnknownDataSourceError: if the data source has no scorer.
        ValueError: if the composition is wrong, or an option of the given data source's scorer; without a data source,
            an option that no scorer has.
    """
    composition = Composition.parse("task" if rewards is None else rewards)
    check_configuration([] if data_source is None else [data_source], composition, options)
    scoring = _Scoring(composition, data_source, truth_column, options)
    return [RewardFunction(term, scoring) for term in composition.terms], [term.weight for term in composition.terms]


class RewardFunction:
    """One component as a TRL reward function. It can be pickled, which TRL's rollout workers ask for."""

    def __init__(self, term: Term, scoring: "_Scoring"):
        self.__name__ = term.name
        self._scoring = scoring

    def __call__(
        self,
        prompts: Sequence[object],
        completions: Sequence[object],
        *,
        log_metric: Callable[[str, float], object] | None = None,
        **columns,
    ) -> list[float | None]:
        """Score the completions of a batch.

        Args:
            prompts: one for each completion; not looked at.
            completions: texts, or chat messages, of which the last one of the assistant is scored.
            log_metric: TRL's; gets the share of completions that could not be scored as ``scorer_error``.
            columns: the data set's columns, lists as long as the completions, and whatever else TRL passes.

        Returns:
            The component's value for each completion, before its weight. None, which TRL leaves out of the sum, where
            the component needs a ground truth and the row has none.

        Raises:
            ValueError: if the data has no column with the data source, or none with a ground truth that is needed.
        """
        results = self._scoring.results(completions, columns)
        if log_metric is not None and results:
            log_metric("scorer_error", sum(result["scorer_error"] for result in results) / len(results))
        return [result.get(self.__name__) for result in results]


class _Scoring:
    """Scores a batch once for all functions of a composition, which TRL calls one after the other."""

    def __init__(
        self,
        composition: Composition,
        data_source: str | None,
        truth_column: str | None,
        options: Mapping[str, object],
    ):
        self._composition = composition
        self._data_source = data_source
        self._truth_column = truth_column
        self._options = dict(options)
        self._scored: tuple[list[tuple], list[dict[str, float]]] = ([], [])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_scored": ([], [])}

    def results(self, completions: Sequence[object], columns: Mapping) -> list[dict[str, float]]:
        truth_column = self._truth_column_in(columns)
        sources = self._sources(len(completions), columns)
        truths = map(_truth, columns[truth_column] if truth_column else [None] * len(completions))
        batch = list(zip(sources, map(text_of, completions), truths, strict=True))
        known, results = self._scored
        if not _same(batch, known):
            results = [self._score(*row) for row in batch]
            self._scored = (batch, results)
        return results

    def _score(self, data_source: str, text: str | None, truth: object) -> dict[str, float]:
        if truth is None and _has_truth(data_source):
            return self._composition.score_without_truth(data_source, text or "")
        own = options_of(data_source, self._options)
        return self._composition.score(Sample(data_source, text, truth_in(data_source, truth), own))

    def _sources(self, count: int, columns: Mapping) -> list[str]:
        sources = [source or self._data_source for source in columns.get("data_source") or [None] * count]
        if None in sources:
            which = "a row has no data_source" if "data_source" in columns else "the data has no column 'data_source'"
            raise ValueError(f"{which}; give reward_functions(..., data_source=...); docs/en/rewards.md lists them")
        return sources

    def _truth_column_in(self, columns: Mapping) -> str | None:
        usual = (self._truth_column,) if self._truth_column else ("reward_model", "ground_truth")
        found = next((name for name in usual if name in columns), None)
        if found is None and self._composition.needs_truth and _has_truth(self._data_source):
            raise ValueError(
                f"the data has no column {' or '.join(map(repr, usual))}, only {', '.join(columns) or 'none'}; name "
                "that of the ground truth with reward_functions(..., truth_column=...)"
            )
        return found


def _truth(value: object) -> object:
    return value["ground_truth"] if isinstance(value, Mapping) and "ground_truth" in value else value


def _has_truth(data_source: object) -> bool:
    """Say whether the rows of a data source have a ground truth; those of an unknown one may have one."""
    task = task_of(data_source)
    return task is None or TASKS[task].example is not None


def _same(batch: list[tuple], known: list[tuple]) -> bool:
    try:
        return batch == known
    except ValueError:  # arrays; they cannot be compared as a whole
        return False
