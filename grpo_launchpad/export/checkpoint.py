"""The checkpoint that is exported: where its weights are, and whether they are all there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.export import CannotExport
from grpo_launchpad.export.shards import Shards, load
from grpo_launchpad.runs.checkpoints import folder_of, steps_in
from grpo_launchpad.runs.folder import RunFolder

MODEL = "actor_rollout_ref.model"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One complete checkpoint.

    Attributes:
        step: of training.
        folder: of the actor.
        shards: whether the weights are FSDP's, a file a rank; else ``hugging_face`` has them.
        hugging_face: the folder with the configuration and the tokenizer, and the weights if there are no shards.
        adapter: where it is: "fsdp", in the shards; "peft", a folder of PEFT; "" if all weights were trained.
        world_size: training workers that saved it.
        config: of the run, as verl was given it.
    """

    step: int
    folder: Path
    shards: bool
    hugging_face: Path
    adapter: str
    world_size: int
    config: DictConfig

    def setting(self, key: str, default: Any = None) -> Any:
        """Return a value of the run's configuration."""
        return OmegaConf.select(self.config, key, default=default)

    @property
    def base(self) -> str:
        """The model that was trained, as the run named it."""
        return self.setting(f"{MODEL}.path")

    @property
    def shard_files(self) -> list[Path]:
        """The weights of the ranks, if they are FSDP's."""
        return [self.folder / f"model_world_size_{self.world_size}_rank_{rank}.pt" for rank in range(self.world_size)]


def find(run: RunFolder, step: int | None = None) -> Checkpoint:
    """Return a run's checkpoint.

    Args:
        run: its folder.
        step: which one; the last complete one by default.

    Raises:
        CannotExport: if there is none, or it is not complete.
    """
    try:
        config = OmegaConf.load(run.configuration)
    except (OSError, ValueError) as error:
        raise CannotExport(
            f"{run.configuration}: missing or damaged, so that what was trained is not known ({error}).\n"
            "  Give the whole folder that the launcher wrote."
        ) from error
    folder = checkpoints_of(run, config)
    complete, interrupted = steps_in(folder)
    if step is None:
        if not complete:
            raise CannotExport(_nothing_to_export(folder, interrupted))
        step = complete[-1]
    elif step not in complete:
        what = "its saving was interrupted" if step in interrupted else "there is no such checkpoint"
        there = f"complete: {', '.join(map(str, complete))}" if complete else "none is complete"
        raise CannotExport(f"{folder}: step {step}: {what} ({there}).\n  Give --step one of the complete ones.")
    return _describe(folder_of(folder, step) / "actor", step, config)


def checkpoints_of(run: RunFolder, config: DictConfig) -> Path:
    """Return the folder of a run's checkpoints, which is in the run's if the one that it was given is not there."""
    given = Path(OmegaConf.select(config, "trainer.default_local_dir", default="") or run.checkpoints)
    return given if given.is_dir() or not run.checkpoints.is_dir() else run.checkpoints


def _nothing_to_export(folder: Path, interrupted: list[int]) -> str:
    if interrupted:
        return (
            f"{folder}: the saving of step {interrupted[-1]} was interrupted, and no other checkpoint is there.\n"
            "  Launch the run again: it saves a new one."
        )
    return (
        f"{folder}: no checkpoint. A run saves one every SAVE_FREQ steps and with its last one.\n"
        "  Launch it again, with SAVE_FREQ=<steps> if it saves none."
    )


def _describe(folder: Path, step: int, config: DictConfig) -> Checkpoint:
    fsdp, manifest = folder / "fsdp_config.json", folder / "ckpt_contents.json"
    if fsdp.is_file():
        world_size = _read(fsdp).get("world_size")
        if not isinstance(world_size, int):
            raise CannotExport(f"{fsdp}: no world_size in it. The checkpoint is of another verl, or damaged.")
        adapter = "fsdp" if (folder / "lora_train_meta.json").is_file() else ""
        found = Checkpoint(step, folder, True, folder / "huggingface", adapter, world_size, config)
        _check_ranks(found)
    elif manifest.is_file():
        contents = _read(manifest)
        adapter = "peft" if contents.get("backend", {}).get("peft") else ""
        hugging_face = folder / "model" / "huggingface"
        found = Checkpoint(step, folder, False, hugging_face, adapter, contents.get("world_size", 0), config)
        if not adapter and hugging_face.is_dir() and not any(hugging_face.glob("*.safetensors")):
            raise CannotExport(_only_megatron(folder, hugging_face))
    else:
        raise CannotExport(
            f"{folder}: neither {fsdp.name} nor {manifest.name} is in it, which verl 0.9.1 writes.\n"
            "  The checkpoint is of another verl, whose own model_merger reads it, or was copied in part."
        )
    if not (found.hugging_face / "config.json").is_file():
        raise CannotExport(f"{found.hugging_face}: no config.json. The checkpoint is damaged; give --step another one.")
    return found


def _only_megatron(folder: Path, hugging_face: Path) -> str:
    return (
        f"{folder}: the weights are in Megatron's own form only (use_dist_checkpointing=True).\n"
        "  verl's merger, on a machine with a GPU, puts them beside it; then export again:\n"
        f"  python -m verl.model_merger merge --backend megatron --local_dir '{folder}' --target_dir '{hugging_face}'"
    )


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotExport(f"{path}: cannot be read ({error}). Give --step another checkpoint.") from error
    return found if isinstance(found, dict) else {}


def _check_ranks(checkpoint: Checkpoint) -> None:
    """Refuse shards that are missing, damaged, or of two steps, as copying from several machines may leave them.

    The weights of a rank do not say their step; what is saved beside them, the state of the learning rate, does.
    """
    if missing := [file.name for file in checkpoint.shard_files if not file.is_file()]:
        raise CannotExport(
            f"{checkpoint.folder}: {len(missing)} of {checkpoint.world_size} shards missing, such as {missing[0]}.\n"
            "  Copy those of every machine into one folder, or give --step another checkpoint."
        )
    Shards(checkpoint.shard_files)
    steps = {}
    for rank in range(checkpoint.world_size):
        file = checkpoint.folder / f"extra_state_world_size_{checkpoint.world_size}_rank_{rank}.pt"
        if file.is_file():
            schedule = load(file).get("lr_scheduler") or {}
            steps.setdefault(schedule.get("last_epoch"), []).append(rank)
    if len(steps) > 1:
        which = "; ".join(f"rank {ranks[0]}: after {updates} updates" for updates, ranks in steps.items())
        raise CannotExport(
            f"{checkpoint.folder}: its shards are of different steps ({which}).\n"
            "  Copy the same step from every machine, or give --step another checkpoint."
        )
