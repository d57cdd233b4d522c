"""Holds an exported folder's tensors against the checkpoint and the base model, as transformers loads them.

Everything is compared under transformers' names and not the files': a mixture's experts, or a vision-language model's
language part, have other names and shapes in the files of some families.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from grpo_launchpad.export import NotProved, adapter
from grpo_launchpad.export.checkpoint import MODEL, Checkpoint
from grpo_launchpad.export.shards import Shards

NAMED = 3  # tensors that a message names


@dataclass(frozen=True)
class Tensors:
    """What the tensors of a folder were found to be.

    Attributes:
        total: how many there are, a tied one counted once.
        parameters: numbers in them.
        changed: how many differ from the base model's.
        rounded_away: how many the training changed by less than bf16 can hold.
        unchanged: how many are the base model's, bit for bit.
        as_the_checkpoint: whether each was held against the checkpoint's own shards.
    """

    total: int
    parameters: int
    changed: int
    rounded_away: int
    unchanged: int
    as_the_checkpoint: bool


def prove_tensors(checkpoint: Checkpoint, folder: Path, base: Path, adapter_folder: Path | None) -> Tensors:
    """Check that a folder holds the checkpoint's model, whole, and not the base.

    Needs the memory of the model in bf16 and of the base model in its own precision.

    Args:
        checkpoint: that was exported.
        folder: with the export.
        base: the folder of the model that was trained.
        adapter_folder: the checkpoint's adapter as PEFT has it, if it has one.

    Raises:
        NotProved: if a tensor is missing, not finite, not the checkpoint's, or none differs from the base.
    """
    _check_finite(folder)
    found = _load(checkpoint, folder)
    original = _load(checkpoint, base)
    if lacking := sorted(original.keys() ^ found.keys()):
        raise NotProved(f"{folder}: {_some(lacking)} only in one of the exported and the base model.")
    addition = adapter.Addition(adapter_folder) if adapter_folder else None
    shards = Shards(checkpoint.shard_files) if checkpoint.shards and not addition else None
    if shards and (lacking := sorted(name for name in shards if name not in found)):
        raise NotProved(f"{folder}: {_some(lacking)} of the checkpoint missing.")

    if addition and checkpoint.shards:
        _check_base(checkpoint, original)
    wrong, changed, rounded_away, total, parameters = [], 0, 0, 0, 0
    seen: set[int] = set()
    for name, tensor in found.items():
        if tensor.data_ptr() in seen:  # tied to one before
            continue
        seen.add(tensor.data_ptr())
        before = original[name]
        trained = False  # as far as there is something that says so
        if shards and name in shards:
            saved = shards.tensor(name)
            trained = not torch.equal(saved, before.to(saved.dtype))
            right = torch.equal(tensor, saved.to(tensor.dtype))
        elif addition:
            trained, right = _is_merged(tensor, before, addition, name)
        else:
            right = True
        differs = not torch.equal(tensor, before.to(tensor.dtype))
        total, parameters = total + 1, parameters + tensor.numel()
        changed += differs
        rounded_away += trained and not differs
        if not right:
            wrong.append(name)
    if wrong:
        raise NotProved(f"{folder}: {_some(wrong)} not what the checkpoint of step {checkpoint.step} holds.")
    if not changed:
        raise NotProved(
            f"{folder}: no tensor differs from the base model {checkpoint.base}: this is the base, or the training "
            "changed it by less than bf16 can hold."
        )
    return Tensors(total, parameters, changed, rounded_away, total - changed - rounded_away, bool(shards or addition))


def prove_adapter(folder: Path) -> int:
    """Check that an adapter's numbers are finite and that it adds something; return how many layers it changes.

    Raises:
        NotProved: if not.
    """
    addition = adapter.Addition(folder)
    _check_finite(folder)
    changed = sum(bool(addition.of(name).any()) for name in addition.parts) + len(addition.other)
    if not changed:
        raise NotProved(f"{folder}: the adapter adds nothing to the base model: no training step moved it.")
    return changed


def _check_base(checkpoint: Checkpoint, original: dict[str, torch.Tensor]) -> None:
    """Check that an adapter was merged into the base that it was trained on, whose weights are frozen in its shards."""
    shards = Shards(checkpoint.shard_files)
    changed = []
    for name in shards:
        if ".lora_" not in name:
            before = original[name.removeprefix(adapter.PREFIX).replace(".base_layer.", ".")]
            frozen = shards.tensor(name)
            if not torch.equal(frozen, before.to(frozen.dtype)):
                changed.append(name)
    if changed:
        raise NotProved(
            f"the base model {checkpoint.base} is not the one that the run trained: {_some(changed)} another. "
            "Put it back as it was."
        )


def _is_merged(tensor: torch.Tensor, before: torch.Tensor, addition: adapter.Addition, name: str) -> tuple[bool, bool]:
    """Say whether an adapter changes a tensor, and whether the tensor is the sum, within the roundings.

    PEFT rounds what is added, and the sum: half a unit in the last place each.
    """
    if name not in addition.parts:
        touched = any(name.startswith(layer.removesuffix(".base_layer")) for layer in addition.other)
        return touched, touched or torch.equal(tensor, before.to(tensor.dtype))
    added = addition.of(name)
    rounded = before.to(tensor.dtype).float()
    unit = torch.finfo(tensor.dtype).eps  # of a number between 1 and 2
    slack = unit * (rounded.abs() + added.abs())
    return bool(added.any()), bool(((tensor.float() - (rounded + added)).abs() <= slack).all())


def _check_finite(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise NotProved(f"{folder}: no safetensors file was written.")
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            bad = [name for name in tensors.keys() if not torch.isfinite(tensors.get_tensor(name)).all()]  # noqa: SIM118
        if bad:
            raise NotProved(f"{file}: {_some(bad)} not finite: the training diverged. Export an earlier --step.")


def _load(checkpoint: Checkpoint, folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a model as transformers loads it.

    Raises:
        NotProved: if it does not load, or not each tensor from the files.
    """
    from grpo_launchpad.export.model_folder import auto_class

    try:
        model, info = auto_class(checkpoint).from_pretrained(
            folder,
            dtype="auto",
            output_loading_info=True,
            trust_remote_code=bool(checkpoint.setting(f"{MODEL}.trust_remote_code")),
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise NotProved(f"{folder}: transformers does not load it: {str(error).strip().splitlines()[0]}") from error
    for what in ("missing_keys", "mismatched_keys", "error_msgs"):
        if names := sorted(map(str, info.get(what) or [])):
            raise NotProved(f"{folder}: {_some(names)} not read by transformers ({what}).")
    return model.state_dict()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more + (" are" if len(names) > 1 else " is")
