"""The rewards as verl calls them: ``reward.custom_reward_function.path=pkg://reward_score``.

verl 0.9.1 passes each row's values and ``reward.custom_reward_function.reward_kwargs`` to ``compute_score``, takes
``score`` as the reward and keeps the other keys as ``reward_extra_info``. Its V1 trainer shows those in validation: as
metrics ``val-aux/<data source>/<component>/mean@n`` (``acc`` as ``val-core/<data source>/acc/mean@n``) and in the dump
of ``trainer.validation_data_dir``. With several samples a prompt it counts majorities over ``pred``, the answer as a
text: ``maj@n``. In training steps it shows the score alone; ``grpo_launchpad.reward_metrics`` adds
``reward/<component>/mean``.

GDPO (arXiv 2601.05242) normalizes each component within the group before it sums them. In verl it takes the components
of a composition by their names, before their weights, so the weights are given again::

    algorithm.adv_estimator=gdpo
    +algorithm.gdpo_reward_keys=[correctness,format]
    +algorithm.gdpo_reward_weights=[1.0,0.2]
    ++reward.custom_reward_function.reward_kwargs.rewards='correctness:1.0,format:0.2'
    trainer.use_v1=False

The last line is needed because the V1 trainer of 0.9.1 gives ``compute_gdpo_outcome_advantage`` no components
(``_compute_advantage`` in ``verl/trainer/ppo/v1/trainer_base.py``) and stops in the first step.
"""

from collections.abc import Sequence
from functools import lru_cache

from reward_score.composition import NO_OPTIONS, Composition, Sample, log_failure, plain
from reward_score.configuration import options_of
from reward_score.vote import NO_ANSWER

# The last composition that was given as a mapping or list, by its content; verl gives the same one with every row.
_last: tuple[str, Composition] = ("", Composition())


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: dict | None = None,
    *,
    rewards: object = None,
    **options,
) -> dict[str, float | str | None]:
    """Score one response. Never raises: what cannot be scored counts as 0 and sets ``scorer_error``.

    Source of the signature: ``verl/experimental/reward_loop/reward_manager/naive.py`` in verl 0.9.1.

    Args:
        data_source: the row's data source, a key of ``SCORERS``.
        solution_str: the decoded response, special tokens removed.
        ground_truth: what the row's ``reward_model`` holds.
        extra_info: the row's extra_info, which no scorer needs.
        rewards: the composition, as ``reward_score.composition`` describes; None for the task's own score.
        options: options of the task's scorer. Those of other tasks' scorers are passed over.

    Returns:
        ``score``, the reward; ``acc``, the verdict; each component under its name (without ``rewards`` the task's
        ``format``); ``scorer_error``, 1.0 if something failed; and ``pred``, the answer that the task's scorer read as
        a text, "" for none, None if answers to the task cannot be counted. Every row has the same keys, since they
        follow from ``rewards`` alone; for a composition that cannot be read they are ``score``, ``acc``,
        ``scorer_error`` and ``pred``.
    """
    try:
        composition = _composition(rewards)
    except Exception as error:
        log_failure(data_source, "the composition", error)
        return {"score": 0.0, "acc": 0.0, "scorer_error": 1.0, "pred": NO_ANSWER}
    own = NO_OPTIONS
    if options:
        try:
            own = options_of(data_source, options)
        except Exception as error:
            log_failure(data_source, "an option", error)
            own = options
    result, answer = composition.score_and_answer(Sample(data_source, solution_str, ground_truth, own))
    return {**result, "pred": answer}


async def compute_score_async(
    data_source: str,
    solution_str: str,
    ground_truth: object,
    extra_info: dict | None = None,
    *,
    rewards: object = None,
    **options,
) -> dict[str, float | str | None]:
    """``compute_score`` for an event loop, which goes on while a thread scores.

    In verl: ``reward.custom_reward_function.name=compute_score_async``.
    """
    import asyncio

    return await asyncio.to_thread(
        compute_score, data_source, solution_str, ground_truth, extra_info, rewards=rewards, **options
    )


def compute_scores(
    data_sources: str | Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[object],
    extra_infos: Sequence[dict | None] | None = None,
    *,
    rewards: object = None,
    **options,
) -> list[dict[str, float | str | None]]:
    """``compute_score`` for a batch: lists in, a list of results in the same order out.

    Args:
        data_sources: one for each response, or one for all.

    Raises:
        ValueError: if the lists differ in length.
    """
    count = len(solution_strs)
    sources = [data_sources] * count if isinstance(data_sources, str) else data_sources
    if not len(sources) == len(ground_truths) == count or (extra_infos is not None and len(extra_infos) != count):
        raise ValueError(
            f"compute_scores: {len(sources)} data sources, {count} responses, {len(ground_truths)} ground truths and "
            f"{count if extra_infos is None else len(extra_infos)} extra_infos; give the same number of each"
        )
    return [
        compute_score(source, response, truth, rewards=rewards, **options)
        for source, response, truth in zip(sources, solution_strs, ground_truths, strict=True)
    ]


def _composition(rewards: object) -> Composition:
    global _last
    if isinstance(rewards, Composition):
        return rewards
    if rewards is None or isinstance(rewards, str):
        return _parsed(rewards)
    content = repr(plain(rewards))
    known, composition = _last
    if known != content:
        composition = Composition.parse(rewards)
        _last = (content, composition)
    return composition


_parsed = lru_cache(maxsize=64)(Composition.parse)
