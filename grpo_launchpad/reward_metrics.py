"""The reward's components in verl's training metrics: ``reward/<component>/mean``.

verl 0.9.1 keeps what a reward function returns beside its score (``reward_extra_info``) in the rollouts' extra fields;
its V1 trainer shows it in validation, but drops it in training steps. There is no hook between sampling and logging, so
one method is extended: ``PPOTrainer._compute_metrics``, which runs while the rollouts are still in the transfer queue.

verl loads this module in every process through its entry-point group ``verl.plugins``. It imports nothing of verl; the
method is extended when, and only where, the trainer's module is imported.
"""

import math
from statistics import fmean

import wrapt

TRAINER = "verl.trainer.ppo.v1.trainer_base"


@wrapt.when_imported(TRAINER)
def add_components(trainer_module) -> None:
    """Let the V1 trainer log the means of the reward's components."""

    @wrapt.patch_function_wrapper(trainer_module, "PPOTrainer._compute_metrics")
    def compute_metrics(wrapped, trainer, args, kwargs):
        batch, metrics = args[0], args[1]
        fields = trainer_module.tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"]
        )
        rows = [
            row.get("reward_extra_info")
            for row, tag in zip(fields.pop("extra_fields").tolist(), batch.tags, strict=True)
            if isinstance(row, dict) and not tag.get("is_padding", False)
        ]
        metrics.update(component_means([row for row in rows if row]))
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
