"""Writes the model's folder: weights, configuration, tokenizer, chat template, generation config.

    all weights trained, FSDP       verl's merger puts the shards together
    an adapter                      PEFT merges it into the base; verl's merger would write the base
    Megatron with a bridge          the checkpoint has the Hugging Face folder, which is copied

Weights are bf16, as the rollout engine had them.
"""

import contextlib
import io
import shutil
from pathlib import Path

from grpo_launchpad.export import CannotExport, adapter
from grpo_launchpad.export.checkpoint import MODEL, Checkpoint
from grpo_launchpad.export.shards import Shards

LICENCE_FILES = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")


def write(checkpoint: Checkpoint, folder: Path, base: Path, scratch: Path) -> None:
    """Write the model of a checkpoint.

    Args:
        checkpoint: of the run.
        folder: an empty one, to write into.
        base: the folder of the model that was trained.
        scratch: a folder for what is needed only meanwhile.

    Raises:
        CannotExport: if the checkpoint lacks something.
        OSError: if the folder cannot be written.
    """
    if checkpoint.adapter:
        _merge_adapter(checkpoint, folder, base, scratch)
    elif checkpoint.shards:
        with contextlib.redirect_stdout(io.StringIO()):
            _merger(checkpoint, folder).merge_and_save()
    else:
        shutil.copytree(checkpoint.hugging_face, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    copy_licence(base, folder)


def copy_licence(base: Path, folder: Path) -> None:
    """Put the base model's licence beside what was made from it, as most licences ask."""
    for pattern in LICENCE_FILES:
        for file in base.glob(pattern):
            if file.is_file() and not (folder / file.name).exists():
                shutil.copyfile(file, folder / file.name)


def auto_class(checkpoint: Checkpoint):
    """Return the class of transformers that loads the checkpoint's model."""
    return _merger(checkpoint, checkpoint.folder).get_transformers_auto_model_class()


def _merger(checkpoint: Checkpoint, folder: Path):
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    return FSDPModelMerger(
        ModelMergerConfig(
            operation="merge",
            backend="fsdp",
            local_dir=str(checkpoint.folder),
            target_dir=str(folder),
            trust_remote_code=bool(checkpoint.setting(f"{MODEL}.trust_remote_code")),
            hf_model_config_path=str(checkpoint.hugging_face),
        )
    )


def _merge_adapter(checkpoint: Checkpoint, folder: Path, base: Path, scratch: Path) -> None:
    import torch
    from peft import PeftModel

    merger = _merger(checkpoint, folder)
    adapter.write(checkpoint, scratch, str(base))
    model = merger.get_transformers_auto_model_class().from_pretrained(
        base, dtype=torch.bfloat16, trust_remote_code=merger.config.trust_remote_code
    )
    merged = PeftModel.from_pretrained(model, scratch).merge_and_unload()
    with contextlib.redirect_stdout(io.StringIO()):
        merger.save_hf_model_and_tokenizer(dict(merged.state_dict()))


def needed_bytes(checkpoint: Checkpoint, base: Path, adapter_only: bool) -> int:
    """Return how many bytes the folder takes at most, small files left out.

    Args:
        checkpoint: that is exported.
        base: the folder of the model that was trained.
        adapter_only: whether the model itself is left out.
    """
    if checkpoint.adapter == "peft" or not checkpoint.shards:
        weights = checkpoint.hugging_face / "adapter" if adapter_only else checkpoint.hugging_face
        if checkpoint.adapter and not adapter_only:
            weights = base
        return sum(file.stat().st_size for file in weights.glob("*.safetensors"))
    shards = Shards(checkpoint.shard_files)
    if adapter_only:
        return sum(shards.numel(name) * 4 for name in shards if ".lora_" in name)
    return 2 * sum(shards.numel(name) for name in shards)


def check_space(folder: Path, needed: int) -> None:
    """Refuse a disk without room for the folder.

    Raises:
        CannotExport: if there is none.
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise CannotExport(
            f"{there}: {free / 1e9:.1f} GB are free and the model takes {needed / 1e9:.1f} GB.\n"
            "  Free some, or give --out a folder on another disk."
        )
