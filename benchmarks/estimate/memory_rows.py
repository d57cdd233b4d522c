"""The estimate of one row of memory: which trainer it was, what it published, and what of it is modelled."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.estimate.models import UnknownModelError, shape_of_row
from grpo_launchpad.estimate import fsdp, megatron, vllm
from grpo_launchpad.estimate.activations import FULL, HALF, Kernels
from grpo_launchpad.estimate.megatron import TRANSFORMER_ENGINE_HEAD, Head, Megatron
from grpo_launchpad.estimate.parts import GIB, total
from grpo_launchpad.estimate.verdict import COLLECTIVES, CONTEXT, RESERVED_PER_ALLOCATED, device_total, verdict_of

Row = dict[str, Any]
KINDS = {
    "peak_allocated_gib": "peak",
    "peak_active_gib": "peak",
    "peak_reserved_gib": "peak, reserved",
    "device_used_gib": "device",
    "peak_unspecified_gib": "device",
    "model_states_gib": "states",
    "fits": "verdict",
    "oom": "verdict",
    "kernel_peak_gib": "loss kernel",
    "vllm_weights_gib": "engine",
    "vllm_kv_gib": "engine",
    "vllm_kv_tokens": "engine",
    "vllm_activation_peak_gib": "engine",
    "vllm_non_torch_gib": "engine",
}


class NotModelled(Exception):
    """A row that nothing here estimates; the text says why."""


@dataclass(frozen=True)
class Estimate:
    """What is said of a row.

    Attributes:
        kind: class of rows whose errors are compared.
        value: in the row's unit; None where it is not modelled.
        verdict: fits, tight or does not fit; None for rows of other kinds, or where it is not modelled.
        reason: why not.
    """

    kind: str
    value: float | None = None
    verdict: str | None = None
    reason: str = ""


def estimate(row: Row) -> Estimate:
    """Return the estimate of a row of memory."""
    what = row["what"]
    kind = KINDS.get(what)
    if kind is None:
        return Estimate(kind="other", reason=f"{what} is not modelled")
    name = kind if kind in ("loss kernel", "engine") else f"{_family(row)} {kind}"
    try:
        if kind == "loss kernel":
            return Estimate(kind=name, value=_loss_kernel(row) / GIB)
        if kind == "engine":
            return Estimate(kind=name, value=_engine(row))
        trainer = trainer_of(row)
        if kind == "states":
            return Estimate(kind=name, value=trainer.states / GIB)
        if kind == "verdict":
            return _verdict(row, trainer, name)
        if kind == "device":
            used = device_total(trainer.peak, row["world"] or 1, trainer.engine)
            return Estimate(kind=name, value=max(used, _rollout(row)) / GIB)
        grown = RESERVED_PER_ALLOCATED if what == "peak_reserved_gib" else 1.0
        return Estimate(kind=name, value=trainer.peak * grown / GIB)
    except (NotModelled, UnknownModelError) as error:
        return Estimate(kind=name, reason=str(error))


def _family(row: Row) -> str:
    engine = str(row["engine"])
    if engine.startswith("megatron"):
        return "Megatron"
    if engine.startswith(("fsdp", "ddp")):
        return "FSDP"
    return engine.split()[0]


@dataclass(frozen=True)
class Trainer:
    """The trainer of a row.

    Attributes:
        states: bytes between steps.
        peak: bytes at the highest point of an update.
        lowest: the same with the shortest sequences that are likely, where lengths are not known.
        engine: bytes that a rollout engine on the same device keeps asleep.
    """

    states: float
    peak: float
    lowest: float
    engine: float = 0.0


def _rollout(row: Row) -> float:
    """The device while the rollout engine has its share, its trainer offloaded."""
    if not row["engine_util"] or not (row["gpu"] or {}).get("gib"):
        return 0.0
    return row["engine_util"] * row["gpu"]["gib"] * GIB + CONTEXT + COLLECTIVES


def _verdict(row: Row, trainer: Trainer, kind: str) -> Estimate:
    gpu = row["gpu"] or {}
    if not gpu.get("gib"):
        raise NotModelled("the row names no device")
    world = row["world"] or 1
    high = device_total(trainer.peak, world, trainer.engine)
    low = device_total(trainer.lowest, world, trainer.engine)
    said = verdict_of(low, high, gpu["gib"] * GIB)
    return Estimate(kind=kind, value=high / GIB, verdict=said.word)


def trainer_of(row: Row) -> Trainer:
    """Return the trainer of a row.

    Raises:
        NotModelled: if something in it is not modelled.
        UnknownModelError: if its architecture is not known.
    """
    engine = str(row["engine"])
    if row["fp8"] not in (None, False) and not engine.startswith("fsdp"):
        raise NotModelled("training in fp8 is not modelled")
    reader = next((reader for start, reader in READERS if engine.startswith(start)), None)
    if reader is None:
        raise NotModelled(f"the engine {engine} is not modelled")
    return reader(row)


# ------------------------------------------------------------------------------------------------ Megatron


def _megatron(row: Row) -> Trainer:
    _no_quantised_base(row)
    if row["engine"] == "megatron-fsdp":
        raise NotModelled("Megatron-FSDP is not modelled")
    if row["lora_rank"] and not isinstance(row["lora_rank"], int):
        raise NotModelled("the rank of adapters is not published")
    extra, optimizer = row["extra"], str((row["dtype"] or {}).get("optimizer", ""))
    moments = 4.0 if "bf16 m,v" in optimizer else 8.0
    shape = shape_of_row(row)
    tokens = _tokens(row, needed=row["what"] != "model_states_gib")
    arguments = extra.get("args_subset") or {}
    if arguments.get("perform-rl-step"):
        raise NotModelled("Megatron's own loop of reinforcement learning is not modelled")
    dp, micro = row["dp"] or 1, row["micro_batch"] or 1
    count = extra.get("micro_batches") or max(1, (row["global_batch"] or dp * micro) // (dp * micro))
    details = (row["recompute"] or {}).get("details")
    mode = (row["recompute"] or {}).get("mode") or "none"
    if any(word in str(mode) for word in ("recipe default", "not stated", "see script")):
        raise NotModelled("what is recomputed is not published")
    if row["recompute"] is None and row["what"] != "model_states_gib":
        raise NotModelled("what is recomputed is not published")
    if mode not in ("none", "full", "selective") and _recomputed_layers(details):
        mode = "full"
    from_transformer_engine = str(extra.get("cross_entropy_fusion", "")).startswith("Transformer")
    setup = Megatron(
        shape,
        world=row["world"],
        tp=row["tp"] or 1,
        pp=row["pp"] or 1,
        vpp=row["vpp"] or 1,
        cp=row["cp"] or 1,
        ep=row["ep"] or 1,
        # Where the devices were inferred from the states, it was for experts that are not split.
        etp=row["etp"] or (1 if extra.get("world_note") else row["tp"] or 1),
        sequence_parallel=bool(row["sequence_parallel"]),
        distributed_optimizer=row["distributed_optimizer"] is not False,
        tokens=tokens or 1,
        micro_batches=count,
        recompute=mode if mode in ("full", "selective") else "none",
        recomputed=frozenset(_modules(details) if mode == "selective" else ()),
        recompute_layers=_recomputed_layers(details),
        first_layers=_count(arguments, "decoder-first-pipeline-num-layers"),
        last_layers=_count(arguments, "decoder-last-pipeline-num-layers"),
        moments=moments,
        on_host=_part_on_host(row),
        kernels=Kernels(
            dropout=bool((extra.get("dropout") or {}).get("hidden")),
            scores=row["seq_len"] if row["attention"] == "unfused" else 0,
        ),
        head=TRANSFORMER_ENGINE_HEAD if from_transformer_engine else _megatron_head(extra, arguments),
        extra_layers=sum(
            bool(arguments.get(f"account-for-{name}-in-pipeline-split")) for name in ("embedding", "loss")
        ),
        vocab_multiple=(extra.get("arch") or {}).get("make-vocab-size-divisible-by") or 128,
        lora_rank=row["lora_rank"] or 0,
        lora_experts="all-linear" in str(extra.get("lora_targets", "")),
        grouped=not arguments or bool(arguments.get("moe-grouped-gemm")),
    )
    if row["id"].startswith("mbridge") and "Moonlight" in str(row["model"]):
        # Megatron-Bridge's recipe, recipes/moonlight/moonlight_16b.py: gradients and moments in bf16, which rows omit.
        setup = replace(setup, gradients=HALF, moments=2 * HALF)
    stage = _stage(row, setup)
    with_moments = "no moments" not in optimizer and "none yet" not in optimizer
    held = total(megatron.states(setup, stage, with_moments=with_moments))
    if with_moments:  # they come with the first step
        held += total(megatron.workspaces(setup))
    peak = total(megatron.update(setup, stage))
    engine = vllm.ASLEEP if "+" in str(row["engine"]) else 0.0
    return Trainer(states=held, peak=peak, lowest=peak, engine=engine)


def _modules(details: object) -> list[str]:
    """Return the modules of selective recomputation; Megatron-LM's default is attention's core."""
    if isinstance(details, dict):
        details = details.get("recompute-modules") or details.get("recompute_modules") or ["core_attn"]
    return list(details) if isinstance(details, list) else []


def _recomputed_layers(details: object) -> int | None:
    """Return how many layers of a stage are recomputed by block; None if all are."""
    text = str(details)
    found = re.search(r"num[-_]layers\W+(\d+)", text)
    return int(found[1]) if found and "block" in text else None


def _count(arguments: Row, name: str) -> int | None:
    value = arguments.get(name)
    return int(value) if value is not None and str(value).isdecimal() else None


def _megatron_head(extra: Row, arguments: Row) -> Head:
    fused = arguments.get("cross-entropy-loss-fusion") or extra.get("cross_entropy_loss_fusion") == "true"
    return megatron.FUSED_HEAD if fused else megatron.MEGATRON_HEAD


def _stage(row: Row, setup: Megatron) -> int:
    name = row["id"].rsplit(".", 2)[-2]
    if name == "stage_first":
        return 0
    if name == "stage_last" or row["id"].startswith("mcore."):  # Megatron logs the last rank
        return setup.pp - 1
    return megatron.worst_stage(setup)


def _part_on_host(row: Row) -> float:
    found = re.search(r"fraction[ =:]*([0-9.]+)", str(row["offload"] or ""))
    return float(found[1]) if found else 0.0


# ---------------------------------------------------------------------------------------------------- FSDP


def _fsdp(row: Row) -> Trainer:
    _no_quantised_base(row)
    if row["pp"] not in (None, 1):
        raise NotModelled("a pipeline of FSDP stages is not modelled")
    if row["lora_rank"] and not isinstance(row["lora_rank"], int):
        raise NotModelled("the rank of adapters is not published")
    if row["id"].startswith("qwen1") and "emb" in row["id"]:
        raise NotModelled("an adapter beside a trained embedding is not modelled")
    if row["id"].startswith("litgpt") and row["world"] > 1:
        raise NotModelled("a trainer that loads the whole model in each process is not modelled")
    shape, dtype, extra = shape_of_row(row), row["dtype"] or {}, row["extra"]
    mode = (row["recompute"] or {}).get("mode") or ("none" if row["recompute"] is None else "none")
    if any(word in str(mode) for word in ("not stated", "default")):
        raise NotModelled("what is recomputed is not published")
    tokens = _tokens(row, needed=row["what"] != "model_states_gib")
    weights = HALF if str(dtype.get("params", "")).startswith(("bf16", "16")) else FULL
    world = row["world"] or 1
    replicated = str(row["engine"]).startswith(("ddp", "single"))
    alone = world == 1 or replicated
    setup = fsdp.Fsdp(
        shape,
        version=1 if "fsdp1" in str(row["engine"]) else 2,
        shards=1 if replicated else max(1, world // (row["tp"] or 1)),
        tensor=row["tp"] or 1,
        tokens=tokens or 1,
        micro_batches=2,
        weights=weights,
        gradients=weights,
        moments=2 * weights,
        recompute=_recomputation(row, mode),
        activations_on_host="activations" in str(row["offload"] or ""),
        kernels=Kernels(fused=False, compiled=bool(extra.get("compile") or extra.get("torch_compile"))),
        head=_head(row),
        expert_parallel=row["ep"] or 1,
        lora_rank=row["lora_rank"] or 0,
        lora_all="q,v" not in str(extra.get("lora_targets", "")),
        computes_in_storage=alone and weights == HALF,
    )
    setup = _as_published(row, setup)
    ready = "none yet" not in str(dtype.get("optimizer", ""))
    held = total(fsdp.states(setup, with_moments=ready, with_gradients="none yet" not in str(dtype.get("grads", ""))))
    peak = total(fsdp.peak(setup))
    shortest = replace(setup, tokens=max(1, _shortest(row, setup.tokens)))
    engine = vllm.ASLEEP if "vllm" in str(row["engine"]) else 0.0
    return Trainer(states=held, peak=peak, lowest=total(fsdp.peak(shortest)), engine=engine)


def _recomputation(row: Row, mode: str) -> str:
    if mode == "offload":
        return "full"
    if "selective layer" in str((row["recompute"] or {}).get("details")):
        return "alternate"
    return mode if mode in ("full", "selective") else "none"


# Of the longest possible sequence, what a published mean is at least: GSM8K's 300 of 1,536 tokens.
SHORT = 0.2


def _shortest(row: Row, tokens: int) -> int:
    """Return the tokens of a micro batch whose sequences are short; the same where lengths are published."""
    if not row["prompt_len"] or row["seq_len"]:
        return tokens
    length = row["prompt_len"] + row["response_len"]
    mini = int(str(row["extra"].get("mini_batch", "")).replace("train_batch_size", str(row["global_batch"])) or 0)
    share = max(1, mini * (row["n"] or 1) // (row["dp"] or 1)) * length // (row["cp"] or 1)
    return int(SHORT * min(tokens / SHORT if row["token_budget"] else tokens, share or tokens))


def _tokens(row: Row, *, needed: bool) -> int:
    """Return the tokens of a micro batch on one device."""
    cp = row["cp"] or 1
    if published := row["extra"].get("tokens_per_micro_batch_per_gpu"):
        return int(published)
    if row["token_budget"]:
        return row["token_budget"] // (cp if row["id"].startswith("prime") else 1)
    if row["micro_batch"] and row["seq_len"]:
        return row["micro_batch"] * row["seq_len"] // cp
    if row["micro_batch"] and row["prompt_len"]:
        return row["micro_batch"] * (row["prompt_len"] + row["response_len"]) // cp
    if longest := row["extra"].get("max_tokens_per_micro_batch"):
        return longest // cp
    if needed:
        raise NotModelled("the tokens of a micro batch are not published")
    return 0


def _head(row: Row) -> Head:
    source = row["id"].split(".")[0]
    if source == "prime":
        text = str(row["extra"].get("lm_head", ""))
        if text.startswith("fused"):
            chunk = next((int(word) for word in text.replace(",", " ").split() if word.isdigit()), 8192)
            return replace(fsdp.EAGER_HEAD, chunk=chunk)
        return replace(fsdp.EAGER_HEAD, alive=fsdp.EAGER_HEAD.alive + HALF)  # a copy shifted by one token
    if source == "torchtitan" and "full fp32" in str(row["extra"].get("logits")):
        return fsdp.EAGER_HEAD
    if source == "verl" and "ascend" in row["id"]:
        return fsdp.NPU_HEAD
    if source in ("verl", "verllog", "easyr1"):
        entropy = float(row["extra"].get("entropy_coeff") or 0)  # whose gradient has tensors of its own
        return replace(fsdp.FLASH_HEAD, alive=fsdp.FLASH_HEAD.alive + (2 * HALF if entropy else 0))
    if source == "torchtune" and row["extra"].get("chunked_ce_chunks"):
        return replace(fsdp.EAGER_HEAD, chunk=(row["token_budget"] or 4096) // row["extra"]["chunked_ce_chunks"])
    return fsdp.COMPILED_HEAD if row["extra"].get("compile") else fsdp.EAGER_HEAD


def _as_published(row: Row, setup: fsdp.Fsdp) -> fsdp.Fsdp:
    """Change what a source's trainer does otherwise."""
    extra = row["extra"]
    techniques = extra.get("techniques") or ()
    if any("8-bit" in technique for technique in techniques) or "8-bit" in str(extra.get("optimizer", "")):
        setup = replace(setup, moments=2)
    if any("Fuse optimizer" in technique for technique in techniques):
        setup = replace(setup, keeps_gradients=False, copies_moments=False)
    if "+ Compile" in techniques:
        setup = replace(setup, kernels=replace(setup.kernels, compiled=True))
    if row["id"].startswith("verllog.ppo") and "before_vllm" in row["id"]:
        # Policy and critic in one process; the reference as well on one device, where FSDP1 does not offload it.
        setup = replace(setup, weights=2 * setup.weights + (HALF if row["world"] == 1 else 0))
    return setup


def _no_quantised_base(row: Row) -> None:
    text = f"{row['dtype']} {row['what']} {row['extra'].get('techniques', '')} {row['lora_rank']}".lower()
    if any(word in text for word in ("nf4", "qlora", "int4", "4-bit", "8bit base", "hqq", "int8")):
        raise NotModelled("quantised base weights are not modelled")


READERS: tuple[tuple[str, Callable[[Row], Trainer]], ...] = (
    ("megatron", _megatron),
    ("fsdp", _fsdp),
    ("single", _fsdp),
    ("ddp", _fsdp),
)


# ----------------------------------------------------------------------------------------------- others


def _loss_kernel(row: Row) -> float:
    """A loss by itself: its input stays alive beside what it makes, unlike in a trainer."""
    extra = row["extra"]
    tokens, vocab, hidden = extra["tokens"], extra["vocab"], extra.get("hidden") or 0
    logits = tokens * vocab
    if extra["kernel"] == "megatron_cross_entropy":
        # bf16 logits, softmax in fp32 and the gradient; the fused one keeps another fp32 copy
        return logits * (HALF + FULL + HALF + (FULL if extra["provider"] == "megatron-fused" else 0))
    table = HALF * vocab * hidden
    states = tokens * hidden * HALF
    if extra["provider"] == "liger":
        chunk = max(1, tokens // 2 ** max(0, round(vocab / hidden).bit_length()))
        return 4 * table + 3 * states + chunk * vocab * (HALF + FULL)
    return 3 * table + 3 * states + logits * (HALF + FULL)


def _engine(row: Row) -> float:
    what, extra = row["what"], row["extra"]
    setup = vllm.Vllm(
        shape_of_row(row),
        tensor=row["tp"] or 1,
        share=row["engine_util"] or 0.9,
        eager=True,
    )
    memory = (extra.get("total_gib") or (row["gpu"] or {}).get("gib") or 0) * GIB
    if "quant" in str(row["dtype"]).lower() or "fp8" in str(row["dtype"]).lower():
        raise NotModelled("quantised weights are not modelled")
    values = {
        "vllm_weights_gib": lambda: vllm.weights(setup) / GIB,
        "vllm_non_torch_gib": lambda: vllm.OUTSIDE_PYTORCH / GIB,
        "vllm_activation_peak_gib": lambda: vllm.profile_peak(setup) / GIB,
        "vllm_kv_gib": lambda: vllm.cache(setup, memory) / GIB,
        "vllm_kv_tokens": lambda: vllm.cache(setup, memory) / vllm.cache_bytes_per_token(setup),
    }
    if what in ("vllm_kv_gib", "vllm_kv_tokens") and not memory:
        raise NotModelled("the row names no device")
    return values[what]()
