"""The estimate of one row of time: what was trained or generated, and how long that takes."""

import re
from dataclasses import replace
from typing import Any

from benchmarks.estimate.memory_rows import Estimate, NotModelled
from benchmarks.estimate.models import UnknownModelError, shape_of_row
from grpo_launchpad.estimate import devices, time
from grpo_launchpad.estimate.architecture import Family, Shape, shape_of
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.time import REACHED, Batch, Reached, Responses, Rollout, Trainer

Row = dict[str, Any]

KINDS = {
    "step_s": "step",
    "tokens_per_s_per_gpu": "step",
    "tokens_per_s_total": "step",
    "generate_s": "rollout",
    "generated_tokens_per_s_bs1": "rollout",
    "old_log_prob_s": "log-probabilities",
    "ref_log_prob_s": "log-probabilities",
    "update_s": "update",
    "sync_s": "weight sync",
    "save_s": "save",
}

# Devices of rows that the estimate's own table does not have: (the nearest one there, memory's bandwidth in TB/s, dense
# bf16 in TFLOP/s, link in GB/s one way, as the makers' data sheets say).
OTHERS = {
    "GB200": ("B200", 8.0, 2500, 900),
    "GB300": ("B200", 8.0, 2500, 900),
    "B300": ("B200", 8.0, 2250, 900),
    "H100-SXM-96GB": ("H100", 2.4, 800, 450),  # 500 W
    "A100-PCIe-80GB": ("A100-80", 1.94, 312, 32),
    "RTX A6000": ("3090", 0.768, 155, 32),
    "L20": ("L40S", 0.864, 119.5, 32),
}
# GB200 and GB300 stand in racks whose 72 devices are joined by NVLink; a row of one PCIe card has no faster link.
PER_NODE = {"GB200": 72, "GB300": 72}

# Where a row does not say how long responses were: this share of a limit that is short; of a long one nothing is said.
MEAN_OF_LIMIT, SHORT = 0.3, 1024
# vLLM before its second engine, inside the trainer's process: of the logs of verl up to 0.4.
OLD_ENGINE = 6.0
OLD_LOGS = ("eric-haibin-lin/verl-data", "yushengsu-thu/verl_training_log", "diqiuzhuanzhuan/verldata")


def estimate(row: Row, reached: Reached = REACHED) -> Estimate:
    """Return the estimate of a row of time, in the row's unit."""
    what = KINDS.get(row["what"])
    if what is None:
        return Estimate(kind="other", reason=f"{row['what']} is not modelled")
    kind = _kind(row, what)
    try:
        return Estimate(kind=kind, value=_value(row, reached))
    except (NotModelled, UnknownModelError, devices.UnknownDeviceError) as error:
        return Estimate(kind=kind, reason=str(error))


def estimate_row(row: Row) -> float | None:
    """Return what the row measured as it is estimated, in the row's unit, or None where it is not modelled."""
    return estimate(row).value


def _kind(row: Row, what: str) -> str:
    engine = str(row["engine"])
    if what in ("weight sync", "save"):
        return what
    if "+" in engine or what == "rollout":
        adapters = ", LoRA" if row["lora_rank"] else ""
        single = ", one sequence" if engine in ("vllm", "sglang") else ""
        return f"RL {what}{single}{adapters}"
    return f"training, {engine.split()[0].rstrip('12')}{', LoRA' if row['lora_rank'] else ''}"


def _value(row: Row, reached: Reached) -> float:
    what = row["what"]
    if _is_asynchronous(row) and what != "sync_s":
        raise NotModelled("phases of asynchronous training overlap")
    if what == "sync_s":
        return _sync(row, reached)
    if what == "save_s":
        return time.save_seconds(_trainer(row), reached)
    engine = str(row["engine"])
    if what == "generated_tokens_per_s_bs1" or (what == "generate_s" and engine in ("vllm", "sglang")):
        seconds = _one_sequence(row, reached)
        return row["response_len"] / seconds if what == "generated_tokens_per_s_bs1" else seconds
    if "+" in engine:
        seconds, tokens = _phases(row, reached)
    else:
        seconds, tokens = _training(row, reached)
    if what == "tokens_per_s_per_gpu":
        return tokens / seconds / row["world"]
    return tokens / seconds if what == "tokens_per_s_total" else seconds


def _is_asynchronous(row: Row) -> bool:
    """Say whether a row's phases overlap: rollout and training apart, or a rollout that is not waited for."""
    if "+" not in str(row["engine"]):
        return False
    said = " ".join(str(row["extra"].get(name) or "") for name in ("mode", "policy")) + " " + str(row["id"])
    said = said.replace("fully_async", "").replace("on_policy", "")
    return bool(re.search(r"async|_off\b|-off\b|step.off|off.policy|stale|switch|rollout ?:", said, re.IGNORECASE))


# ------------------------------------------------------------------------------------------------- devices


def device_of_row(row: Row) -> tuple[Device, int]:
    """Return a row's device and how many of them a machine has.

    Raises:
        NotModelled: if the row names none, or one that is not known.
    """
    name = (row["gpu"] or {}).get("name")
    if not name:
        raise NotModelled("the row names no device")
    for word, (like, bandwidth, flops, link) in OTHERS.items():
        if word in name:
            base = devices.device_of(like)
            device = replace(base, name=word, bandwidth=bandwidth * 1e12, flops=flops * 1e12, link=link * 1e9)
            return device, PER_NODE.get(word, 8)
    plain = re.sub(r"\(.*\)|GB|NVIDIA|AMD|RTX|-SXM\d?|SXM\d?", "", name).strip(" -")
    if plain.startswith("Ascend A3"):
        return devices.device_of("910C"), 16
    for device in sorted(devices.DEVICES, key=lambda each: -len(each.name)):
        if device.name.replace("-", "") in plain.replace("-", ""):
            return device, 8
    return devices.device_of(plain.replace(" ", "")), 8


# ------------------------------------------------------------------------------------------------- trainers


def shape_of_time_row(row: Row) -> Shape:
    """Return the shape of a row's model; MPT, a GPT without biases, is described by the row itself."""
    arch = row["extra"].get("arch") or {}
    if not str(row["model"]).startswith("mosaicml/mpt"):
        return shape_of_row(row)
    config = {
        "model_type": "mpt",
        "num_hidden_layers": arch["layers"],
        "hidden_size": arch["hidden"],
        "intermediate_size": arch["ffn"],
        "num_attention_heads": arch["heads"],
        "vocab_size": arch["vocab"],
        "tie_word_embeddings": arch["tied"],
    }
    return shape_of(config, Family(gated=False, mlp_bias=False))


def _trainer(row: Row) -> Trainer:
    shape, (device, per_node) = shape_of_time_row(row), device_of_row(row)
    engine, extra = str(row["engine"]), row["extra"]
    world = row["world"]
    if not world:
        raise NotModelled("the number of devices is not published")
    if row["lora_rank"] and not isinstance(row["lora_rank"], int):
        raise NotModelled("the rank of adapters is not published")
    if engine.startswith("fsdp") and (row["pp"] or 1) > 1:
        raise NotModelled("FSDP with pipeline stages is not modelled")
    offload = str(row["offload"] or "none").lower()
    megatron = engine.startswith(("megatron", "zero1"))
    shards = world
    if engine.startswith("ddp"):
        shards = 1
    if not megatron:
        shards = max(1, shards // ((row["pp"] or 1) * (row["tp"] or 1)))
    compiled = bool(extra.get("torch_compile") or extra.get("compile"))
    flash = "unfused" not in str(row["attention"])
    return Trainer(
        shape=shape,
        device=device,
        devices=world,
        per_node=per_node,
        sharded=not megatron,
        shards=shards,
        tp=row["tp"] or 1,
        pp=row["pp"] or 1,
        vpp=row["vpp"] or 1,
        cp=row["cp"] or 1,
        ep=row["ep"] or 1,
        lean=engine.startswith("megatron") or compiled,
        flash=flash,
        recompute=_recompute(row, megatron),
        lora_rank=row["lora_rank"] or 0,
        fp8=bool(row["fp8"]),
        offloads_parameters="param" in offload or "defaults" in offload,
        offloads_optimizer="optimizer" in offload,
        fused_loss=bool(extra.get("lm_head")) or "+" in engine or megatron,
    )


def _recompute(row: Row, megatron: bool) -> float:
    mode = str((row["recompute"] or {}).get("mode") or "")
    if mode == "full":
        return 1.0
    if mode.startswith("selective"):
        return 0.05 if megatron else 0.4
    if mode == "see details" or mode.startswith("see"):
        return 0.3
    if "+" in str(row["engine"]) and not mode and not megatron:
        return 1.0  # verl's default
    if mode.startswith("not stated") or (mode.startswith("recipe") and not megatron):
        return 0.5
    return 0.0


def _training(row: Row, reached: Reached) -> tuple[float, float]:
    """Return the seconds of a training step, and its tokens."""
    if not row["global_batch"] or not row["seq_len"]:
        raise NotModelled("the batch is not published")
    trainer = _trainer(row)
    if row["engine"] == "fsdp2" and row["extra"].get("phase") == "log-probabilities":
        tokens = row["global_batch"] * row["seq_len"]
        batch = Batch(tokens=tokens, length=row["seq_len"], micro_tokens=row["token_budget"])
        return time.forward_seconds(trainer, batch, replace(reached, micro_batch=0.0)), tokens
    tokens = row["extra"].get("tokens_per_step")
    if not isinstance(tokens, int | float):
        tokens = row["global_batch"] * row["seq_len"]
    micro = (row["micro_batch"] or 1) * row["seq_len"]
    if row["extra"].get("pp_microbatch"):  # the micro-batch of the row goes through the pipeline a sequence at a time
        micro = row["seq_len"]
    if row["engine"] == "single" and not row["micro_batch"]:
        micro = row["token_budget"] or micro
    batch = Batch(tokens=tokens, length=row["seq_len"], micro_tokens=micro)
    return time.train_seconds(trainer, batch, replace(reached, update=0.0, micro_batch=0.0)), tokens


# ------------------------------------------------------------------------------------------------- RL


def _phases(row: Row, reached: Reached) -> tuple[float, float]:
    """Return the seconds of the phase that a row measured, or of the whole step, and the step's tokens."""
    trainer, extra, what = _trainer(row), row["extra"], row["what"]
    samples, prompt, response, longest = lengths_of(row)
    tokens = samples * (prompt + response)
    given = extra.get("tokens_per_step")
    if isinstance(given, int | float):
        tokens = given
    length = tokens / samples
    # Attention goes with the square of lengths, and those of responses spread about as far as their mean.
    length *= 1.3
    updates = max(1, round(row["global_batch"] / _mini(row)))
    budget = row["token_budget"] or (row["micro_batch"] or 4) * length
    batch = Batch(tokens=tokens, length=length, micro_tokens=budget, updates=updates)
    log_budget = extra.get("log_prob_max_token_len_per_gpu") or (extra.get("log_prob_micro") or 0) * length or budget
    forward = replace(batch, micro_tokens=log_budget, updates=1)
    load = time.load_seconds(trainer, reached)
    engine = _rollout(row, trainer)
    responses = Responses(samples, row["global_batch"], prompt, response, longest)
    seconds = {
        "old_log_prob_s": time.forward_seconds(trainer, forward, reached) + load,
        "ref_log_prob_s": time.forward_seconds(replace(trainer, lora_rank=0), forward, reached) + load,
        "update_s": time.train_seconds(trainer, batch, reached) + load,
        "generate_s": time.rollout_seconds(engine, responses, reached),
    }
    if row["source"]["repo"] in OLD_LOGS:  # they count the weight sync as a part of the rollout
        seconds["generate_s"] += time.sync_seconds(trainer.shape, trainer.device, reached)
    phases = [seconds["generate_s"], seconds["old_log_prob_s"], seconds["update_s"]]
    if _has_reference(row):
        phases.append(seconds["ref_log_prob_s"])
    if row["source"]["repo"] not in OLD_LOGS:
        phases.append(time.sync_seconds(trainer.shape, trainer.device, reached))
    return seconds.get(what, sum(phases) + reached.phase * samples), tokens


def lengths_of(row: Row) -> tuple[float, float, float, float]:
    """Return the samples of a step, mean tokens of prompt and response, and the tokens of the longest response."""
    extra = row["extra"]
    if not row["global_batch"]:
        raise NotModelled("the batch is not published")
    samples = row["global_batch"] * (row["n"] or 1)
    limit = row["response_len"]
    mean = _number(extra.get("mean_response"))
    total = _number(extra.get("mean_total_seq_len"))
    if limit is None and row["seq_len"]:
        limit = row["seq_len"] - (row["prompt_len"] or 0)
    if limit is None:
        raise NotModelled("the length of responses is not published")
    prompt = _number(extra.get("mean_prompt"))
    given = _number(extra.get("tokens_per_step"))
    if total:
        prompt = prompt or 0.15 * total
        mean = total - prompt
    if prompt is None:
        prompt = given / samples - mean if given and mean else min(100.0, row["prompt_len"] or 100.0)
    if mean is None and not given and limit > SHORT:
        raise NotModelled("the length of responses is not published")
    if mean is None:
        mean = given / samples - prompt if given else MEAN_OF_LIMIT * limit
    return samples, max(1.0, prompt), max(1.0, mean), min(limit, max(limit * 1.0, mean))


def _number(value: object) -> float | None:
    """Return a number, or the middle of a range such as "154-208" or "1.26-1.51 M"."""
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    found = [float(each) for each in re.findall(r"\d+(?:\.\d+)?", value)]
    return sum(found) / len(found) * (1e6 if value.rstrip().endswith("M") else 1) if found else None


def _mini(row: Row) -> float:
    extra = row["extra"]
    return extra.get("mini") or extra.get("mini_batch_prompts") or extra.get("mini_batch") or row["global_batch"]


def _has_reference(row: Row) -> bool:
    return str(row["extra"].get("algo", "GRPO")).upper() not in ("DAPO", "GPG")


def _rollout(row: Row, trainer: Trainer) -> Rollout:
    extra = row["extra"]
    tp = extra.get("rollout_tp") or (extra.get("gen_tp_pp") or [0])[0]
    old = row["source"]["repo"] in OLD_LOGS
    if not tp:
        tp = 1 if trainer.shape.total < 4e9 else 2 if trainer.shape.total < 2e10 else 4
        tp = 8 if trainer.shape.total > 6e10 else tp
    tp = min(tp, trainer.devices)
    free = (row["engine_util"] or 0.6) * trainer.device.memory - time.HALF * trainer.shape.total / tp
    return Rollout(
        shape=trainer.shape,
        device=trainer.device,
        devices=trainer.devices,
        tp=tp,
        per_node=trainer.per_node,
        eager=bool(extra.get("enforce_eager")),
        lora=bool(trainer.lora_rank) and not extra.get("lora_merge"),
        max_sequences=extra.get("max_num_seqs") or (1024 if old else 256),
        cache_bytes=max(2e9, free),
        engine_factor=OLD_ENGINE if old else 1.0,
    )


def _one_sequence(row: Row, reached: Reached) -> float:
    shape, (device, per_node) = shape_of_time_row(row), device_of_row(row)
    tp = row["tp"] or 1
    engine = Rollout(shape=shape, device=device, devices=tp, tp=tp, per_node=per_node)
    length = row["response_len"]
    return time.rollout_seconds(engine, Responses(1, 1, row["prompt_len"] or 1, length, length), reached)


def _sync(row: Row, reached: Reached) -> float:
    if "delta" in str(row["engine"]):
        raise NotModelled("sending only what changed is not modelled")
    if "+" in str(row["engine"]):
        trainer = _trainer(row)
        return time.sync_seconds(trainer.shape, trainer.device, reached)
    return time.sync_seconds(shape_of_time_row(row), device_of_row(row)[0], reached, apart=True)
