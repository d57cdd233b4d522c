"""The adapter (LoRA) of a checkpoint as PEFT has it, and what it adds to the base.

verl 0.9.1's merger writes the base model unchanged and the adapter beside it, rounded to bf16 (issue 7285;
``verl/model_merger/base_model_merger.py``, save_lora_adapter). Here PEFT reads and merges; the formula of the LoRA
paper (arXiv 2106.09685, section 4.1), W + alpha / r * B A, is what the result is held against.
"""

import json
import shutil
from pathlib import Path

import torch

from grpo_launchpad.export import CannotExport
from grpo_launchpad.export.checkpoint import MODEL, Checkpoint
from grpo_launchpad.export.shards import Shards

PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def write(checkpoint: Checkpoint, folder: Path, base: str) -> None:
    """Write the adapter as a folder of PEFT.

    Args:
        checkpoint: that has one.
        folder: to write into.
        base: what the adapter's configuration names as its base model.

    Raises:
        CannotExport: if the checkpoint lacks a part of it.
    """
    from safetensors.torch import save_file

    if checkpoint.adapter == "peft":
        source = checkpoint.hugging_face / "adapter"
        if not (source / CONFIG).is_file() or not (source / WEIGHTS).is_file():
            raise CannotExport(f"{source}: {CONFIG} or {WEIGHTS} is missing. Give --step another checkpoint.")
        shutil.copy(source / WEIGHTS, folder / WEIGHTS)
        config = json.loads((source / CONFIG).read_text(encoding="utf-8")) | {"base_model_name_or_path": base}
        (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return
    shards = Shards(checkpoint.shard_files)
    weights = {
        name.replace(".default.", "."): shards.tensor(name).contiguous() for name in shards if ".lora_" in f".{name}"
    }
    if not weights:
        raise CannotExport(f"{checkpoint.folder}: no adapter in its shards, though lora_train_meta.json names one.")
    _config(checkpoint, set(weights), base).save_pretrained(folder)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def _config(checkpoint: Checkpoint, names: set[str], base: str):
    """Return PEFT's configuration of the trained adapter: that of the run, or of the adapter that the run went on with.

    Source: ``verl/workers/engine/fsdp/transformer_impl.py``, _build_lora_module.
    """
    from peft import LoraConfig

    if begun := checkpoint.setting(f"{MODEL}.lora_adapter_path"):
        try:
            config = LoraConfig.from_pretrained(begun)
        except (OSError, ValueError) as error:
            raise CannotExport(
                f"{begun}: the adapter that the run went on with is not there, and its configuration is needed.\n"
                "  Put it back, or export on the machine that has it."
            ) from error
        config.base_model_name_or_path, config.inference_mode = base, True
        return config
    # Names of whole paths: "all-linear", or the last part of a path, means other layers to a reader of the adapter than
    # to verl, which leaves some out, such as a vision tower.
    layers = {name.removeprefix(PREFIX).rsplit(".lora_", 1)[0].removesuffix(".base_layer") for name in names}
    parameters = list(checkpoint.setting(f"{MODEL}.target_parameters") or [])
    of_parameters = tuple(parameter.rpartition(".")[0] for parameter in parameters)
    trained = json.loads((checkpoint.folder / "lora_train_meta.json").read_text(encoding="utf-8"))
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=trained["r"],
        lora_alpha=trained["lora_alpha"],
        target_modules=sorted(layer for layer in layers if not (of_parameters and layer.endswith(of_parameters))),
        target_parameters=parameters or None,
        bias="none",
        inference_mode=True,
        base_model_name_or_path=base,
    )


class Addition:
    """What an adapter's folder adds to the base's weights: alpha / r * B A, or alpha / sqrt(r) * B A with RSLoRA."""

    def __init__(self, folder: Path):
        from peft import LoraConfig
        from safetensors.torch import load_file

        config = LoraConfig.from_pretrained(folder)
        weights = load_file(folder / WEIGHTS)
        self.parts: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}  # of a linear layer's weight: (B, A)
        self.other: set[str] = set()  # adapters of embeddings and of parameters, whose form is PEFT's own
        for name, first in weights.items():
            if not name.endswith(".lora_A.weight"):
                continue
            layer = name.removeprefix(PREFIX).removesuffix(".lora_A.weight")
            second = weights[name.replace("lora_A", "lora_B")]
            if first.shape[0] == second.shape[1] and layer.rsplit(".", 1)[-1] != "base_layer" and first.dim() == 2:
                self.parts[f"{layer}.weight"] = (second, first)
            else:
                self.other.add(layer)
        self.other |= {name for name in weights if "lora_embedding" in name}
        rank = config.r
        self.scale = config.lora_alpha / (rank**0.5 if config.use_rslora else rank)

    def of(self, name: str) -> torch.Tensor:
        """Return what is added to a weight, in fp32."""
        second, first = self.parts[name]
        return self.scale * (second.float() @ first.float())
