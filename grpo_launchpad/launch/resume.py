"""Whether a launch would go on with the training that its run's checkpoint is of.

verl loads the checkpoint whatever the launch says: with another reward or other data it trains on as if nothing were,
with another model or layout it fails in its workers, minutes later.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.launch.plan import Plan
from grpo_launchpad.runs.checkpoints import last_step
from grpo_launchpad.runs.folder import RunFolder

MODEL, ACTOR = "actor_rollout_ref.model", "actor_rollout_ref.actor"
TRAIN_FILES = "data.train_files"
RESHARDABLE = f"{ACTOR}.megatron.dist_ckpt_optim_fully_reshardable"
KEYS = {
    "model": tuple(
        f"{MODEL}.{key}"
        for key in (
            "path",
            "lora_rank",
            "lora_alpha",
            "target_modules",
            "lora.rank",
            "lora.alpha",
            "lora.target_modules",
        )
    ),
    "data": (TRAIN_FILES, "data.prompt_key"),
    "reward": (
        *(f"reward.custom_reward_function.{key}" for key in ("path", "name", "reward_kwargs.rewards")),
        "reward.reward_manager.name",
    ),
}
# A file a rank: verl looks for those of as many ranks as there are, each with its part of the weights.
FSDP_LAYOUT = ("trainer.nnodes", "trainer.n_gpus_per_node", f"{ACTOR}.strategy", f"{ACTOR}.fsdp_config.fsdp_size")
# Megatron-Core's optimizer states go on with any number of data-parallel ranks, but not with other shares of the model
# (distrib_optim_sharding_type in verl/utils/checkpoint/megatron_checkpoint_manager.py).
MEGATRON_LAYOUT = tuple(
    f"{ACTOR}.megatron.{key}"
    for key in (
        "tensor_model_parallel_size",
        "pipeline_model_parallel_size",
        "virtual_pipeline_model_parallel_size",
        "expert_model_parallel_size",
        "expert_tensor_parallel_size",
        "use_dist_checkpointing",
    )
)
FOOTER_BYTES = 64 * 1024


def digest_of(file: Path) -> str:
    """Return a digest of a data file's size and end, where parquet keeps the places and limits of all columns."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - FOOTER_BYTES))
        return hashlib.sha256(b"%d " % size + stream.read()).hexdigest()[:16]


def digests_of(config: DictConfig) -> dict[str, str]:
    """Return training file -> digest, for those that are files of this machine."""
    files = {file: Path(file).expanduser() for file in _listed(OmegaConf.select(config, TRAIN_FILES))}
    return {name: digest_of(file) for name, file in files.items() if file.is_file()}


def hindrance(plan: Plan, config: DictConfig) -> str | None:
    """Return what keeps a launch from going on with its run's checkpoint, with the ways out; None if nothing does.

    Args:
        plan: of the launch.
        config: that it composes to.
    """
    step, before = _last(plan.run, config)
    if step is None or before is None or plan.flags["SMOKE"]:
        return None
    lines, back = [], []
    old_data, new_data = _recorded_digests(plan.run), digests_of(config)
    same_data = list(old_data.values()) == list(new_data.values())
    for what, key, old, new in _differences(before, config):
        if key == TRAIN_FILES and old_data and same_data:
            continue  # the same files in another place
        lines.append(f"  {what:6}  {plan.place_of(key)}: {_shown(new)}, and the checkpoint has {_shown(old)}")
        knob = knob_of(key, plan.name.engine)
        back.append(f"{knob.name if knob else key}={_shown(old)}")
    if changed := [file for file, digest in old_data.items() if new_data.get(file, digest) != digest]:
        lines += [f"  data    {file}: its content has changed since the run began" for file in changed]
        back.append("prepare the same data again")
    if not lines:
        return None
    return (
        f"the checkpoint of step {step} is of another training, and cannot be gone on with.\n"
        + "\n".join(lines)
        + f"\n  Start afresh with NEW_RUN=1, or put back what it was: {'; '.join(back)}"
    )


def extension(plan: Plan, config: DictConfig) -> str | None:
    """Return what is to be said when a finished run is trained further; None if the launch does not do that."""
    step, before = _last(plan.run, config)
    if step is None or before is None:
        return None
    was, now = (OmegaConf.select(each, "trainer.total_training_steps") for each in (before, config))
    if not isinstance(was, int) or not isinstance(now, int) or not was <= step < now:
        return None
    return f"{plan.run_name}: it ended with step {was}; going on from step {step} to {now}"


def _last(run: RunFolder, config: DictConfig) -> tuple[int | None, DictConfig | None]:
    """Return the step that a launch would go on with and the configuration of the attempt that saved it."""
    if OmegaConf.select(config, "trainer.resume_mode") != "auto" or not run.configuration.is_file():
        return None, None
    try:
        return last_step(Path(config.trainer.default_local_dir)), OmegaConf.load(run.configuration)
    except (OSError, ValueError):
        return None, None


def _differences(before: DictConfig, now: DictConfig) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield (what, key, old value, new value) of all that keeps a training from being the same one."""
    megatron = OmegaConf.select(now, f"{ACTOR}.strategy") == "megatron"
    both_reshardable = all(OmegaConf.select(each, RESHARDABLE, default=False) for each in (before, now))
    layout = MEGATRON_LAYOUT if megatron else FSDP_LAYOUT
    if megatron and both_reshardable:
        layout = MEGATRON_LAYOUT[-1:]
    if not megatron and _workers(before) == _workers(now):
        layout = FSDP_LAYOUT[2:]
    for what, keys in (KEYS | {"layout": layout}).items():
        for key in keys:
            old, new = (_plain(OmegaConf.select(each, key, default=None)) for each in (before, now))
            if key == TRAIN_FILES:
                old, new = _listed(old), _listed(new)
            if old != new:
                yield what, key, old, new


def _workers(config: DictConfig) -> int:
    return config.trainer.nnodes * config.trainer.n_gpus_per_node


def _recorded_digests(run: RunFolder) -> dict[str, str]:
    try:
        found = json.loads(run.identity.read_text(encoding="utf-8")).get("train_files")
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(files: Any) -> list[str]:
    return [files] if isinstance(files, str) else list(files or [])


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return value[0] if len(value) == 1 else f"[{','.join(map(str, value))}]"
    return "none" if value is None else str(value)
