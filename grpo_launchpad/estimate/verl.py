"""A launch as its estimate sees it: the trainer, the reference and the rollout engine of verl's configuration.

Source: verl 0.9.1 ``workers/engine_workers.py``, ``workers/engine/{fsdp,megatron}/transformer_impl.py``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.estimate import fsdp, megatron
from grpo_launchpad.estimate.activations import FULL, HALF, Kernels
from grpo_launchpad.estimate.architecture import Shape
from grpo_launchpad.estimate.fsdp import Fsdp
from grpo_launchpad.estimate.megatron import Head, Megatron
from grpo_launchpad.estimate.vllm import Vllm
from grpo_launchpad.preflight.layout import (
    ACTOR,
    REF,
    ROLLOUT,
    Layout,
    layout_of,
    needs_reference,
    reference_is_actor,
)

MODEL = "actor_rollout_ref.model"
# The part of the longest allowed sequence that samples have at least, on average: GSM8K's have a fifth of 1,536.
SHORTEST = 0.2
SIZES_OF_IMAGES = "sizes of images: as many tokens are counted as theirs as prompts may have"
# Bytes of a weight by verl's name of its type.
TYPE_BYTES = {"fp32": FULL, "float32": FULL, "bf16": HALF, "bfloat16": HALF, "fp16": HALF, "float16": HALF}
# What verl's fused kernel holds of logits: three fp32 copies of 512 tokens. Source: ``utils/experimental``.
FUSED_HEAD = Head(alive=3 * FULL, without_gradient=2 * FULL, chunk=512)


@dataclass(frozen=True)
class Tokens:
    """Tokens of a micro batch on one device.

    Attributes:
        most: at most, which a budget of dynamic micro batches reaches when samples suffice.
        least: if samples are as short as is likely.
    """

    most: int
    least: int


@dataclass(frozen=True)
class Launch:
    """What the memory of a launch depends on.

    Attributes:
        shape: of the model.
        layout: how it is spread.
        trainer: of the policy.
        tokens: of its update.
        log_prob_tokens: of log-probabilities.
        param_offload: whether weights (and gradients) wait on the host between phases.
        optimizer_offload: whether the optimizer's states do.
        reference: whether there is one of its own.
        reference_on_host: whether its weights wait on the host.
        engine: the rollout engine.
        engine_sleeps: whether it gives its memory back while the trainer works.
        keeps_weights: whether it keeps its weights on the host while it sleeps, as with an adapter.
        entropy_bytes: bytes a logit that the entropy of the update needs.
        log_prob_entropy_bytes: the same without gradients.
        images: part of the tokens that may be of images.
        bucket: bytes of the buffer through which weights are sent.
        npu: whether devices are Ascend NPUs.
        saves: what a checkpoint holds: model, optimizer, hf_model.
        kept: checkpoints on disk at once; 0 if none is saved.
        batch_tokens: tokens of a whole batch, at most.
        max_length: tokens of a sequence, at most.
        update_tokens: tokens of one update on one device, at most.
        not_modelled: in words, what is asked for and not counted.
    """

    shape: Shape
    layout: Layout
    trainer: Fsdp | Megatron
    tokens: Tokens
    log_prob_tokens: Tokens
    param_offload: bool
    optimizer_offload: bool
    reference: bool
    reference_on_host: bool
    engine: Vllm
    engine_sleeps: bool
    keeps_weights: bool
    entropy_bytes: float
    log_prob_entropy_bytes: float
    images: float
    bucket: int
    npu: bool
    saves: tuple[str, ...]
    kept: int
    batch_tokens: int
    max_length: int
    update_tokens: float
    not_modelled: tuple[str, ...] = field(default=())

    def with_tokens(self, count: int) -> "Launch":
        """Return the launch with micro batches of ``count`` tokens at most."""
        return replace(self, trainer=replace(self.trainer, tokens=max(1, count)))

    def with_budget(self, budget: int) -> "Launch":
        """Return the launch with dynamic micro batches of another budget, those of log-probabilities as well."""
        most = int(max(1, min(budget, self.update_tokens)))
        tokens = Tokens(most, min(most, self.tokens.least))
        trainer = replace(self.trainer, tokens=most, micro_batches=max(1, round(self.update_tokens / most)))
        return replace(self, trainer=trainer, tokens=tokens, log_prob_tokens=Tokens(budget, tokens.least))


class NotModelledError(ValueError):
    """Nothing can be said of a launch; the text says why."""


def launch_of(config: DictConfig, shape: Shape, *, npu: bool = False) -> Launch:
    """Read a composed configuration.

    Args:
        config: whose values are of the right kinds (``preflight.check.check_values``).
        shape: of its model.
        npu: whether devices are Ascend NPUs.

    Raises:
        NotModelledError: for a trainer that is not modelled.
    """
    layout = layout_of(config)
    if layout.engine not in ("fsdp", "megatron"):
        raise NotModelledError(f"the trainer {layout.engine} is not modelled")
    actor, rollout, data = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout, config.data
    length = data.max_prompt_length + data.max_response_length
    update_share = layout.mini_batch * layout.group / layout.data_parallel * length
    whole_share = layout.train_batch * layout.group / layout.data_parallel * length
    sharing = layout.cp if layout.engine == "megatron" else layout.sp
    tokens = _tokens(
        actor.use_dynamic_bsz,
        actor.ppo_max_token_len_per_gpu,
        actor.ppo_micro_batch_size_per_gpu,
        length,
        update_share,
        sharing,
    )
    log_prob_tokens = _tokens(
        rollout.log_prob_use_dynamic_bsz,
        rollout.log_prob_max_token_len_per_gpu,
        rollout.log_prob_micro_batch_size_per_gpu,
        length,
        whole_share,
        sharing,
    )
    micro_batches = max(1, round(update_share / sharing / max(1, tokens.most)))
    reads = _megatron if layout.engine == "megatron" else _fsdp
    trainer, entropy, log_prob_entropy = reads(config, layout, shape, tokens.most, micro_batches, npu)
    engine_config = actor.megatron if layout.engine == "megatron" else actor.fsdp_config
    rank = _lora_rank(config)
    saved = OmegaConf.select(config, f"{ACTOR}.checkpoint.save_contents") or ()
    keeps = OmegaConf.select(config, "trainer.max_actor_ckpt_to_keep") or 1
    return Launch(
        shape=shape,
        layout=layout,
        trainer=trainer,
        tokens=tokens,
        log_prob_tokens=log_prob_tokens,
        param_offload=bool(engine_config.param_offload),
        optimizer_offload=bool(engine_config.optimizer_offload),
        reference=needs_reference(config) and not reference_is_actor(config),
        reference_on_host=layout.engine == "fsdp" or bool(OmegaConf.select(config, f"{REF}.megatron.param_offload")),
        engine=Vllm(
            shape,
            tensor=layout.rollout_tp,
            share=float(rollout.gpu_memory_utilization),
            batched_tokens=rollout.max_num_batched_tokens,
            sequences=rollout.max_num_seqs,
            eager=bool(rollout.enforce_eager),
            lora_rank=0 if OmegaConf.select(config, f"{MODEL}.lora.merge") else rank,
            expert_parallel=layout.rollout_ep,
        ),
        engine_sleeps=bool(rollout.free_cache_engine),
        keeps_weights=rank > 0 and not OmegaConf.select(config, f"{MODEL}.lora.merge"),
        entropy_bytes=entropy,
        log_prob_entropy_bytes=log_prob_entropy,
        images=data.max_prompt_length / length if shape.vision else 0.0,
        bucket=(OmegaConf.select(config, f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes") or 2048) << 20,
        npu=npu,
        saves=tuple(saved),
        kept=keeps + 1 if (config.trainer.save_freq or -1) > 0 else 0,
        batch_tokens=layout.train_batch * layout.group * length,
        max_length=length,
        update_tokens=update_share / sharing,
        not_modelled=(*_not_modelled(config, layout), *((SIZES_OF_IMAGES,) if shape.vision else ())),
    )


def _tokens(
    dynamic: bool, budget: int | None, micro_batch: int | None, length: int, share: float, sharing: int
) -> Tokens:
    """Return the tokens of a micro batch on one device.

    Args:
        dynamic: whether micro batches are filled up to ``budget`` tokens a device.
        budget: of them.
        micro_batch: sequences otherwise.
        length: of the longest sequence.
        share: tokens that one data parallel group gets, at most.
        sharing: devices that share a sequence.
    """
    if dynamic:
        most = min(budget or length, share / sharing)
        return Tokens(int(max(1, most)), int(max(1, min(most, SHORTEST * share / sharing))))
    most = (micro_batch or 1) * length / sharing
    return Tokens(int(max(1, most)), int(max(1, SHORTEST * most)))


def _lora_rank(config: DictConfig) -> int:
    model = config.actor_rollout_ref.model
    return model.lora.rank if model.lora.rank > 0 else model.lora_rank


def _fsdp(
    config: DictConfig, layout: Layout, shape: Shape, tokens: int, micro_batches: int, npu: bool
) -> tuple[Fsdp, float, float]:
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    engine = actor.fsdp_config
    weights = TYPE_BYTES.get(str(engine.model_dtype), FULL)
    shards = layout.fsdp_size if 0 < layout.fsdp_size < layout.world else layout.world
    rank = _lora_rank(config)
    eight_bit = "8bit" in str(actor.optim.optimizer).lower()
    head = FUSED_HEAD if model.use_fused_kernels else fsdp.NPU_HEAD if npu else fsdp.FLASH_HEAD
    if not model.use_fused_kernels and config.actor_rollout_ref.rollout.temperature != 1:
        head = replace(head, alive=head.alive + HALF, without_gradient=head.without_gradient + HALF)
    trainer = Fsdp(
        shape,
        version=2 if actor.strategy == "fsdp2" else 1,
        shards=shards,
        tokens=tokens,
        micro_batches=micro_batches,
        weights=weights,
        gradients=weights,
        moments=2 if eight_bit else 2 * weights,
        recompute="full" if model.enable_gradient_checkpointing else "none",
        activations_on_host=bool(model.enable_activation_offload),
        kernels=Kernels(fused=False, compiled=bool(model.use_liger)),
        head=head,
        lora_rank=rank,
        lora_all=str(model.target_modules) == "all-linear",
        weights_on_host=bool(engine.offload_policy) and actor.strategy == "fsdp2",
        accumulates=bool(engine.use_no_sync_for_gradient_accumulation),
    )
    if model.use_fused_kernels:
        return trainer, 0.0, 0.0
    chunked = bool(engine.entropy_from_logits_with_chunking)
    # Compiled or chunked, the entropy holds little of its own; otherwise its softmax and product in fp32.
    without = 0.0 if chunked or engine.use_torch_compile else 3.0 * FULL
    wanted = actor.entropy_coeff != 0 or actor.calculate_entropy
    # Then the gradients of log-probabilities and of the entropy have tensors of their own.
    with_gradient = 2 * HALF + (0.0 if engine.entropy_checkpointing else without) if wanted else 0.0
    return trainer, with_gradient, without


def _megatron(
    config: DictConfig, layout: Layout, shape: Shape, tokens: int, micro_batches: int, npu: bool
) -> tuple[Megatron, float, float]:
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    engine, optimizer = actor.megatron, actor.optim
    transformer = OmegaConf.to_container(engine.override_transformer_config, resolve=True) or {}
    override = OmegaConf.to_container(optimizer.override_optimizer_config, resolve=True) or {}
    aware = bool(optimizer.use_precision_aware_optimizer)
    granularity = transformer.get("recompute_granularity") or "none"
    block = transformer.get("recompute_method") == "block"
    trainer = Megatron(
        shape,
        world=layout.world,
        tp=layout.tp,
        pp=layout.pp,
        vpp=layout.vpp or 1,
        cp=layout.cp,
        ep=layout.ep,
        etp=layout.etp or layout.tp,
        sequence_parallel=bool(engine.sequence_parallel),
        distributed_optimizer=bool(engine.use_distributed_optimizer),
        tokens=tokens,
        micro_batches=micro_batches,
        recompute=granularity,
        recomputed=frozenset(transformer.get("recompute_modules") or () if granularity == "selective" else ()),
        recompute_layers=transformer.get("recompute_num_layers") if granularity == "full" and block else None,
        gradients=TYPE_BYTES.get(str(optimizer.main_grads_dtype), FULL) if aware else FULL,
        moments=sum(TYPE_BYTES.get(str(optimizer[name]), FULL) for name in ("exp_avg_dtype", "exp_avg_sq_dtype"))
        if aware
        else 2 * FULL,
        on_host=float(override.get("optimizer_offload_fraction", 0)) if override.get("optimizer_cpu_offload") else 0.0,
        head=FUSED_HEAD if model.use_fused_kernels else megatron.MEGATRON_HEAD,
        first_layers=layout.first_stage,
        last_layers=layout.last_stage,
        extra_layers=layout.extra_layers,
        vocab_multiple=1,
        lora_rank=_lora_rank(config),
    )
    if model.use_fused_kernels:
        return trainer, 0.0, 0.0
    # A clone of the logits, and their softmax unless it is chunked.
    each = FULL + (0 if engine.entropy_from_logits_with_chunking else FULL)
    wanted = actor.entropy_coeff != 0 or actor.calculate_entropy
    return trainer, float(each) if wanted else 0.0, float(each)


def _not_modelled(config: DictConfig, layout: Layout) -> Iterable[str]:
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    yield "fragmentation beyond 5 %, other processes on the devices"
    if rollout.name != "vllm":
        yield f"the rollout engine {rollout.name}: counted as vLLM"
    if not layout.shares_gpus:
        yield "rollout engines on devices of their own: only the trainer's devices are counted"
    if OmegaConf.select(config, f"{MODEL}.mtp.enable"):
        yield "multi-token prediction"
    if OmegaConf.select(config, f"{ACTOR}.megatron.use_megatron_fsdp"):
        yield "Megatron-FSDP: counted as Megatron's distributed optimizer"
    if layout.own_pipeline:
        yield "a pipeline layout of its own: counted as an even one"
    if OmegaConf.select(config, f"{ACTOR}.fsdp_config.qat.enable") or OmegaConf.select(
        config, f"{ACTOR}.megatron.qat.enable"
    ):
        yield "quantisation-aware training"
    if "quantization" in rollout and rollout.quantization:
        yield f"the rollout engine's quantisation ({rollout.quantization}): its weights are counted in bf16"
    if OmegaConf.select(config, f"{MODEL}.tiled_mlp.enabled"):
        yield "tiled feed-forward blocks: counted as whole ones"
    if str(actor.optim.get("optimizer", "AdamW")).lower() not in ("adam", "adamw", "adamw8bit"):
        yield f"the optimizer {actor.optim.optimizer}: counted as AdamW"
    if config.algorithm.adv_estimator == "gae":
        yield "the critic"
