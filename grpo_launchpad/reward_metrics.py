"""The reward's components, and what its groups are worth, in verl's training metrics.

    reward/<component>/mean     means over the responses of a step
    groups/without_signal       share of the groups whose answers all have one score, which have no advantage
    groups/missing_answers      share of the answers that were asked for and are not in the batch

The dumps of training rollouts get ``response_tokens``, the length of each answer.

verl 0.9.1 keeps what a reward function returns beside its score (``reward_extra_info``) in the rollouts' extra fields;
its V1 trainer shows it in validation, but drops it in training steps. There is no hook between sampling and logging, so
one method is extended: ``PPOTrainer._compute_metrics``, which runs while the rollouts are still in the transfer queue.

verl loads this module in every process through its entry-point group ``verl.plugins``. It imports nothing of verl; the
method is extended when, and only where, the trainer's module is imported.
"""

import math
from collections.abc import Sequence
from statistics import fmean

import wrapt

TRAINER = "verl.trainer.ppo.v1.trainer_base"


@wrapt.when_imported(TRAINER)
def add_components(trainer_module) -> None:
    """Let the V1 trainer log the means of the reward's components and the worth of the groups."""

    @wrapt.patch_function_wrapper(trainer_module, "PPOTrainer._compute_metrics")
    def compute_metrics(wrapped, trainer, args, kwargs):
        batch, metrics = args[0], args[1]
        fields = trainer_module.tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields", "rm_scores"]
        )
        real = [not tag.get("is_padding", False) for tag in batch.tags]
        rows = [
            row.get("reward_extra_info")
            for row, counts in zip(fields.pop("extra_fields").tolist(), real, strict=True)
            if isinstance(row, dict) and counts
        ]
        metrics.update(component_means([row for row in rows if row]))
        rewards = fields["rm_scores"].unbind()  # one a token
        trainer.response_tokens = {key: row.numel() for key, row in zip(batch.keys, rewards, strict=True)}
        scores = [row.sum().item() for row in rewards]
        asked = trainer.config.data.train_batch_size * trainer.config.actor_rollout_ref.rollout.n
        answers = [answer for answer, counts in zip(zip(batch.keys, scores, strict=True), real, strict=True) if counts]
        metrics.update(group_metrics(*zip(*answers, strict=True), asked) if answers else {})
        return wrapped(*args, **kwargs)

    @wrapt.patch_function_wrapper(trainer_module, "PPOTrainer._dump_generations")
    def dump_generations(wrapped, trainer, args, kwargs):
        extra = kwargs.get("reward_extra_infos_dict") or {}
        tokens = [getattr(trainer, "response_tokens", {}).get(key) for key in extra.get("uid", ())]
        if tokens and None not in tokens:  # a validation has none
            kwargs["reward_extra_infos_dict"] = extra | {"response_tokens": tokens}
        return wrapped(*args, **kwargs)


def component_means(rows: list[dict]) -> dict[str, float]:
    """Return ``reward/<component>/mean`` over the responses of a step, for each value that is a number in all of them.

    The total stands in verl's own ``critic/rewards/mean``.
    """
    means = {}
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        if name != "score" and all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            means[f"reward/{name}/mean"] = fmean(values)
    return means


def group_metrics(keys: Sequence[str], scores: Sequence[float], asked: int) -> dict[str, float]:
    """Return the share of groups without signal and the share of answers that are missing.

    Args:
        keys: of the answers, <prompt>_<answer>_<turn> as verl's agent loop writes them; an answer of several turns
            counts once, with the score of its last.
        scores: one each.
        asked: answers that the step should have, prompts x rollout.n.
    """
    groups: dict[str, dict[str, tuple[int, float]]] = {}
    for key, score in zip(keys, scores, strict=True):
        prompt, answer, turn = key.rsplit("_", 2)
        group = groups.setdefault(prompt, {})
        group[answer] = max(group.get(answer, (-1, 0.0)), (int(turn), score))
    equal = sum(len({score for _, score in group.values()}) == 1 for group in groups.values())
    found = sum(map(len, groups.values()))
    return {
        "groups/without_signal": equal / len(groups),
        "groups/missing_answers": max(0.0, 1 - found / asked),
    }
