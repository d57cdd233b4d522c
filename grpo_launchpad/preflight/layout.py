"""Parallel layouts that cannot be: GPUs that do not divide, heads, layers and experts that cannot be shared out.

verl 0.9.1 finds most of these when the weights are loaded or the first step is done. A rule needs the model's
dimensions only where it says so; without them it holds its peace. Each rule names where it comes from: a file below
verl's package, of Megatron-Core d98e8a6, of Megatron-Bridge 067f987, or of vLLM 0.28.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.architectures import Architecture
from grpo_launchpad.doctor.versions import tested_verl
from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.preflight.problem import Problem

ACTOR, REF, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.ref", "actor_rollout_ref.rollout"
TRANSFORMER = f"{ACTOR}.megatron.override_transformer_config"
# The families whose Megatron-Bridge provider counts the loss by tokens when context is split.
PER_TOKEN_LOSS_FAMILIES = ("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe")

# Of each number of a layout: the keys that set it. The first is the one that a message names.
KEYS: dict[str, tuple[str, ...]] = {
    "nodes": ("trainer.nnodes",),
    "gpus_per_node": ("trainer.n_gpus_per_node",),
    "train_batch": ("data.train_batch_size",),
    "mini_batch": (f"{ACTOR}.ppo_mini_batch_size",),
    "group": (f"{ROLLOUT}.n",),
    "sp": (f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size", f"{ACTOR}.ulysses_sequence_parallel_size"),
    "ref_sp": (f"{REF}.fsdp_config.ulysses_sequence_parallel_size", f"{REF}.ulysses_sequence_parallel_size"),
    "fsdp_size": (f"{ACTOR}.fsdp_config.fsdp_size",),
    "ref_fsdp_size": (f"{REF}.fsdp_config.fsdp_size",),
    "tp": (f"{ACTOR}.megatron.tensor_model_parallel_size",),
    "pp": (f"{ACTOR}.megatron.pipeline_model_parallel_size",),
    "vpp": (f"{ACTOR}.megatron.virtual_pipeline_model_parallel_size",),
    "cp": (f"{ACTOR}.megatron.context_parallel_size",),
    "ep": (f"{ACTOR}.megatron.expert_model_parallel_size",),
    "etp": (f"{ACTOR}.megatron.expert_tensor_parallel_size",),
    "first_stage": (f"{TRANSFORMER}.num_layers_in_first_pipeline_stage",),
    "last_stage": (f"{TRANSFORMER}.num_layers_in_last_pipeline_stage",),
    "rollout_tp": (f"{ROLLOUT}.tensor_model_parallel_size",),
    "rollout_dp": (f"{ROLLOUT}.data_parallel_size",),
    "rollout_ep": (f"{ROLLOUT}.expert_parallel_size",),
    "rollout_pp": (f"{ROLLOUT}.pipeline_model_parallel_size",),
}


@dataclass(frozen=True)
class Layout:
    """How one launch spreads the model over GPUs: the numbers, and the settings that decide which rules hold."""

    engine: str  # fsdp, megatron, or another of verl's, of which nothing is known here
    nodes: int = 1
    gpus_per_node: int = 1
    train_batch: int = 1
    mini_batch: int = 1
    group: int = 1
    has_reference: bool = False  # as a model of its own; with LoRA it is the policy without its adapter
    remove_padding: bool = True
    # FSDP
    sp: int = 1
    ref_sp: int = 1
    fsdp_size: int = -1
    ref_fsdp_size: int = -1
    # Megatron
    tp: int = 1
    pp: int = 1
    vpp: int | None = None
    cp: int = 1
    ep: int = 1
    etp: int | None = None
    first_stage: int | None = None
    last_stage: int | None = None
    extra_layers: int = 0  # embedding and loss, where they count as a layer each
    own_pipeline: bool = False  # a pipeline_model_parallel_layout, or the older bridge, which splits by itself
    dynamic_cp: bool = False
    per_token_loss: bool = False
    # Rollout engine
    rollout_engine: str | None = "vllm"
    rollout_tp: int = 1
    rollout_dp: int = 1
    rollout_ep: int = 1
    rollout_pp: int = 1
    shares_gpus: bool = True  # with the trainer, and one replica is TP x DP x PP GPUs

    @property
    def world(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def data_parallel(self) -> int:
        """Number of trainer groups that see different samples.

        Source: ``workers/engine/fsdp/transformer_impl.py:652``, ``workers/engine/megatron/transformer_impl.py:756``.
        """
        if self.engine == "megatron":
            return 1 if self.dynamic_cp else max(1, self.world // (self.tp * self.pp * self.cp))
        return max(1, self.world // self.sp)

    @property
    def replica(self) -> int:
        """GPUs of one copy of the rollout engine."""
        return self.rollout_tp * self.rollout_dp * self.rollout_pp


@dataclass(frozen=True)
class Model:
    """The dimensions of a model that rules ask for; None where they are unknown."""

    heads: int | None = None
    key_value_heads: int | None = None  # None as well for latent attention, which has none to share out
    layers: int | None = None
    experts: int | None = None  # 0 for a dense model
    family: str | None = None

    @classmethod
    def of(cls, architecture: Architecture | None) -> "Model":
        """Read a published architecture, or a folder's, which may lack any of them."""
        if architecture is None or _known(architecture, "attention_heads") is None:
            return cls()
        latent = architecture.uses_latent_attention
        return cls(
            heads=architecture.attention_heads,
            key_value_heads=None if latent else _known(architecture, "key_value_heads"),
            layers=_known(architecture, "layers"),
            experts=architecture.experts,
            family=_known(architecture, "model_type"),
        )


@dataclass(frozen=True)
class Violation:
    """A rule that a layout breaks: the numbers to change, the likeliest first, and what is wrong."""

    numbers: tuple[str, ...]
    what: str
    otherwise: str = "choose numbers that divide"


Rule = Callable[[Layout, Model], Iterable[Violation]]


def check_layout(config: DictConfig, architecture: Architecture | None) -> list[Problem]:
    """Check a launch's layout; each problem comes with the nearest number that mends it.

    Args:
        config: the composed configuration, whose numbers are whole (``check_integers``).
        architecture: the model's, or None if it is not known on this machine.
    """
    layout = layout_of(config)
    model = Model() if _changes_dimensions(config) else Model.of(architecture)
    return [_problem(rule, violation, layout, model) for rule, violation in violations(layout, model)]


def violations(layout: Layout, model: Model) -> list[tuple[Rule, Violation]]:
    """Return all rules that a layout breaks. Where GPUs do not divide, nothing that builds on it is asked."""
    broken = [(rule, violation) for rule in DIVISIONS for violation in rule(layout, model)]
    return broken or [(rule, violation) for rule in RULES for violation in rule(layout, model)]


def mended(rule: Rule, violation: Violation, layout: Layout, model: Model) -> tuple[str, int] | None:
    """Return a number to change and its nearest value that mends a violation, or None.

    A value that leaves nothing to mend is best, then one that breaks nothing else, then one with which GPUs divide.
    """
    broken = _broken(layout, model)
    for allowed in (set(), broken, broken | set(RULES)):
        for name in violation.numbers:
            now = getattr(layout, name)
            now = layout.tp if now is None else now  # what ETP is then; a stage or piece has no number to be near to
            for value in sorted(_candidates(name, layout), key=lambda value: (abs(value - now), value)):
                changed = _with(layout, name, value)
                still = {number for other in rule(changed, model) for number in other.numbers}
                if not still & set(violation.numbers) and _broken(changed, model) <= allowed:
                    return name, value
    return None


def _with(layout: Layout, name: str, value: int) -> Layout:
    """Return a layout with another number, for the reference model as well if one knob sets both."""
    partner = f"ref_{name}"
    both = partner in KEYS and getattr(layout, partner) == getattr(layout, name)
    return replace(layout, **{name: value}, **({partner: value} if both else {}))


def _broken(layout: Layout, model: Model) -> set[Rule]:
    return {rule for rule in (*DIVISIONS, *RULES) if list(rule(layout, model))}


def _candidates(name: str, layout: Layout) -> Iterable[int]:
    if name == "mini_batch":
        return (size for size in range(1, layout.train_batch + 1) if layout.train_batch % size == 0)
    if name in ("fsdp_size", "ref_fsdp_size"):
        return chain([-1], range(1, layout.world))
    if name in ("first_stage", "last_stage"):
        return range(1, 200)
    if name == "group":
        return range(2, layout.world + 1)
    return range(1, layout.world + 1)


def _problem(rule: Rule, violation: Violation, layout: Layout, model: Model) -> Problem:
    mend = mended(rule, violation, layout, model)
    key = KEYS[mend[0] if mend else violation.numbers[0]][0]
    if mend is None:
        return Problem(key, violation.what, violation.otherwise)
    knob = knob_of(key, layout.engine)
    return Problem(key, violation.what, f"set {knob.name}={mend[1]}" if knob else f"add ++{key}={mend[1]}")


# ------------------------------------------------------------------------------------------ GPUs that must divide


def _fsdp_groups(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``workers/engine/fsdp/transformer_impl.py:246`` and ``workers/engine/fsdp/utils.py:50``."""
    for name in _of_models("sp", layout):
        size = getattr(layout, name)
        if layout.world % size:
            what = f"{_devices(layout)} cannot be split into groups of {size} that share a sequence"
            yield Violation((name,), what)
    for name in _of_models("fsdp_size", layout):
        size = getattr(layout, name)
        if size == 0 or (0 < size < layout.world and layout.world % size):
            what = f"{_devices(layout)} cannot be split into groups of {size} that share one copy of the weights"
            yield Violation((name,), what)


def _megatron_groups(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: Megatron-Core ``parallel_state.py:822`` and ``:881``."""
    model_parallel = layout.tp * layout.pp * layout.cp
    if layout.world % model_parallel:
        sizes = f"TP {layout.tp} x PP {layout.pp} x CP {layout.cp} = {model_parallel}"
        largest_last = sorted(("cp", "pp", "tp"), key=lambda name: getattr(layout, name) == 1)
        yield Violation(
            tuple(largest_last),
            f"{_devices(layout)} cannot be split into groups of {sizes}",
            f"lower ACTOR_TP, ACTOR_PP or ACTOR_CP until their product divides {layout.world}",
        )
        return
    etp = layout.etp or layout.tp
    if layout.world % (etp * layout.ep * layout.pp):
        default = "" if layout.etp else " (verl's default: TP)"
        sizes = f"EP {layout.ep} x ETP {etp}{default} x PP {layout.pp} = {layout.ep * etp * layout.pp}"
        yield Violation(
            ("ep", "etp") if layout.etp == 1 else ("etp", "ep"),
            f"{_devices(layout)} cannot be split into groups of {sizes} for the experts",
            f"lower ACTOR_EP or ACTOR_ETP until their product with PP divides {layout.world}",
        )


def _rollout_groups(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``workers/engine_workers.py:659``, ``workers/rollout/replica.py:114``,
    ``workers/rollout/vllm_rollout/vllm_async_server.py:385``.
    """
    if not layout.shares_gpus:
        return
    replica = layout.replica
    on_a_node = min(layout.gpus_per_node, replica)
    numbers = ("rollout_tp", "rollout_dp") if layout.rollout_dp == 1 else ("rollout_dp", "rollout_tp")
    what = f"TP {layout.rollout_tp}" + (f" x DP {layout.rollout_dp} = {replica}" if layout.rollout_dp > 1 else "")
    if layout.world % replica:
        yield Violation(numbers, f"{_devices(layout)} cannot be split into rollout engines of {what}")
    elif replica % on_a_node:
        yield Violation(numbers, f"a rollout engine of {what} is no whole number of machines of {on_a_node} devices")
    elif layout.rollout_engine == "vllm" and layout.rollout_dp > 1 and on_a_node % layout.rollout_tp:
        yield Violation(numbers, f"{on_a_node} devices of a machine cannot be split by rollout TP {layout.rollout_tp}")


# ---------------------------------------------------------------------------------------------------- the rest


def _mini_batch(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``trainer/ppo/v1/trainer_base.py:1589`` (padding), ``workers/engine_workers.py:267``."""
    if layout.train_batch % layout.mini_batch:
        what = f"{layout.mini_batch} does not divide the train batch of {layout.train_batch} prompts"
        yield Violation(("mini_batch",), f"{what}; verl would pad with empty rows")
        return
    samples = layout.mini_batch * layout.group
    if layout.engine in ("fsdp", "megatron") and samples % layout.data_parallel:
        sizes = f"a mini batch of {layout.mini_batch} prompts x {layout.group} samples = {samples}"
        yield Violation(
            ("mini_batch", "group"),
            f"{sizes} cannot be split over {layout.data_parallel} data parallel groups",
            f"make PPO_MINI_BATCH_SIZE x ROLLOUT_N a multiple of {layout.data_parallel}",
        )


def _ulysses(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``workers/engine/fsdp/transformer_impl.py:148``, ``models/transformers/monkey_patch.py:343`` and
    ``:346``.
    """
    if layout.engine != "fsdp":
        return
    for name in _of_models("sp", layout):
        size = getattr(layout, name)
        if size > 1 and not layout.remove_padding:
            what = f"{size} devices can share a sequence only without padding"
            yield Violation((name,), f"{what}, and actor_rollout_ref.model.use_remove_padding is False")
        if model.heads and model.heads % size:
            yield Violation((name,), f"{model.heads} attention heads cannot be split over {size} devices")
        elif model.key_value_heads and not _divide(model.key_value_heads, size):
            yield Violation((name,), f"{model.key_value_heads} key-value heads cannot be split over {size} devices")


def _tensor_parallel(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: Megatron-Core ``transformer/transformer_config.py:1446`` and ``:1461``."""
    if layout.engine == "megatron" and model.heads:
        yield from _heads("tp", layout.tp, model)


def _experts(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: Megatron-Core ``transformer/transformer_config.py:1595``, ``transformer/moe/moe_layer.py:186``."""
    if layout.engine != "megatron" or model.experts is None or layout.ep == 1:
        return
    if model.experts == 0:
        yield Violation(("ep",), "the model has no experts to share out")
    elif model.experts % layout.ep:
        yield Violation(("ep",), f"{model.experts} experts cannot be split over {layout.ep} devices")


def _pipeline(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: Megatron-Core ``parallel_state.py:827``, ``transformer/transformer_config.py:2290`` to ``:2420`` and
    ``transformer/transformer_block.py:94``.
    """
    if layout.engine != "megatron":
        return
    if layout.vpp is not None and layout.pp == 1:
        what = "pieces of a pipeline stage (VPP) need more than one stage"
        yield Violation(("pp",), what, "leave ACTOR_VPP empty, or set ACTOR_PP=2 or more")
    elif layout.own_pipeline or model.layers is None:
        return
    else:
        yield from _stages(layout, model.layers)


def _stages(layout: Layout, layers: int) -> Iterable[Violation]:
    """Check that layers can be shared out to the stages of a pipeline."""
    uneven = [(name, getattr(layout, name)) for name in ("first_stage", "last_stage")]
    uneven = [(name, count) for name, count in uneven if count is not None]
    between, stages = layers + layout.extra_layers, layout.pp
    of_uneven = ""
    if uneven:
        between, stages = layers - sum(count for _, count in uneven), layout.pp - len(uneven)
        of_uneven = f" between the first and the last of {layout.pp}"
    change = (*(name for name, _ in reversed(uneven)), "pp")
    otherwise = (
        "choose ACTOR_PP so that it divides the layers, or give the last stage another number of them: "
        f"++{KEYS['last_stage'][0]}=..."
    )
    if stages < 0 or between < 0 or bool(between) != bool(stages) or (stages and between % stages):
        extra = f" ({layout.extra_layers} of them embedding and loss)" if layout.extra_layers and not uneven else ""
        what = f"{between} layers{extra} cannot be shared out to {stages} pipeline stages{of_uneven}"
        yield Violation(change, what, otherwise)
        return
    for name, count in (*uneven, ("pp", between // stages if stages else 0)):
        if layout.vpp is not None and count % layout.vpp:
            what = f"a pipeline stage of {count} layers cannot be split into {layout.vpp} pieces"
            yield Violation(("vpp", name) if name == "pp" else ("vpp",), what, "leave ACTOR_VPP empty")


def _per_token_loss(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``workers/engine/megatron/transformer_impl.py:1470``; Megatron-Bridge ``models/qwen_vl``, finalize."""
    if layout.engine != "megatron" or layout.remove_padding:
        return
    fix = "add actor_rollout_ref.model.use_remove_padding=True"
    if layout.per_token_loss:
        yield Violation(("cp",), "calculate_per_token_loss needs sequences without padding", fix)
    elif layout.cp > 1 and model.family in PER_TOKEN_LOSS_FAMILIES:
        yield Violation(("cp",), f"CP {layout.cp} needs sequences without padding with {model.family}", fix)


def _rollout_engine(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: ``workers/config/rollout.py:294`` and ``:320``."""
    if layout.rollout_pp > 1 and layout.rollout_engine in ("vllm", "sglang", "trtllm"):
        yield Violation(("rollout_pp",), f"{layout.rollout_engine} of {tested_verl()} has no pipeline stages")
    product = layout.rollout_tp * layout.rollout_dp
    if layout.rollout_engine != "trtllm" and layout.rollout_ep not in (1, product):
        what = f"the rollout engine's EP is {layout.rollout_ep}; it can be 1, or TP x DP = {product}"
        yield Violation(("rollout_ep",), what)


def _rollout_model(layout: Layout, model: Model) -> Iterable[Violation]:
    """Source: vLLM ``config/model.py:1367`` and ``:1375``, ``model_executor/models/qwen2.py:143``."""
    if layout.rollout_engine != "vllm":
        return
    if model.heads:
        yield from _heads("rollout_tp", layout.rollout_tp, model)
    if model.experts == 0 and layout.rollout_ep > 1 and layout.rollout_ep == layout.rollout_tp * layout.rollout_dp:
        yield Violation(("rollout_ep",), "the model has no experts to share out")


def _heads(name: str, size: int, model: Model) -> Iterable[Violation]:
    if model.heads % size:
        yield Violation((name,), f"{model.heads} attention heads cannot be split over {size} devices")
    elif model.key_value_heads and not _divide(model.key_value_heads, size):
        yield Violation((name,), f"{model.key_value_heads} key-value heads cannot be split over {size} devices")


def _of_models(name: str, layout: Layout) -> list[str]:
    """Return which numbers to look at: the policy's, and the reference model's if that is another."""
    partner = f"ref_{name}"
    differs = layout.has_reference and getattr(layout, partner) != getattr(layout, name)
    return [name, partner] if differs else [name]


def _divide(one: int, other: int) -> bool:
    return one % other == 0 or other % one == 0


def _devices(layout: Layout) -> str:
    if layout.nodes > 1:
        return f"{layout.nodes} x {layout.gpus_per_node} devices"
    return f"{layout.world} device{'s' if layout.world > 1 else ''}"


def _only(engine: str, rule: Rule) -> Rule:
    return lambda layout, model: rule(layout, model) if layout.engine == engine else ()


DIVISIONS: tuple[Rule, ...] = (_only("fsdp", _fsdp_groups), _only("megatron", _megatron_groups), _rollout_groups)
RULES: tuple[Rule, ...] = (
    _mini_batch,
    _ulysses,
    _tensor_parallel,
    _experts,
    _pipeline,
    _per_token_loss,
    _rollout_engine,
    _rollout_model,
)


# ------------------------------------------------------------------------------------- from verl's configuration


def layout_of(config: DictConfig) -> Layout:
    """Return the layout that a configuration asks for."""
    strategy = config.actor_rollout_ref.actor.strategy
    engine = {"fsdp": "fsdp", "fsdp2": "fsdp", "megatron": "megatron"}.get(strategy, strategy)
    numbers = {name: _number(config, name) for name in KEYS}
    transformer = OmegaConf.select(config, TRANSFORMER) or {}
    counted = ("account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split")
    return Layout(
        engine=engine,
        **{name: value for name, value in numbers.items() if value is not None},
        has_reference=needs_reference(config) and not reference_is_actor(config),
        remove_padding=bool(config.actor_rollout_ref.model.use_remove_padding),
        extra_layers=sum(bool(transformer.get(name)) for name in counted),
        own_pipeline=transformer.get("pipeline_model_parallel_layout") is not None
        or bool(OmegaConf.select(config, f"{ACTOR}.megatron.vanilla_mbridge")),
        dynamic_cp=bool(OmegaConf.select(config, f"{ACTOR}.megatron.dynamic_context_parallel")),
        per_token_loss=bool(transformer.get("calculate_per_token_loss")),
        rollout_engine=OmegaConf.select(config, f"{ROLLOUT}.name", throw_on_missing=False),
        shares_gpus=not (config.trainer.use_v1 and config.trainer.v1.trainer_mode == "separate_async")
        and not OmegaConf.select(config, f"{ROLLOUT}.disaggregation.enabled"),
    )


def needs_reference(config: DictConfig) -> bool:
    """Say whether the run compares the policy with the initial one. Source: ``trainer/ppo/utils.py:75``."""
    return bool(config.algorithm.use_kl_in_reward or config.actor_rollout_ref.actor.use_kl_loss)


def reference_is_actor(config: DictConfig) -> bool:
    """Say whether the initial policy is the policy without its adapter.

    Source: ``trainer/ppo/v1/trainer_base.py:234``.
    """
    model = config.actor_rollout_ref.model
    return model.lora.rank > 0 or model.lora_rank > 0 or model.lora_adapter_path is not None


def _number(config: DictConfig, name: str) -> int | None:
    """Return a number of the layout; the older of two keys wins if it is set, as in ``workers/config/actor.py:328``."""
    values = [OmegaConf.select(config, key) for key in KEYS[name]]
    if len(values) == 2 and values[1] is not None and values[1] > 1:
        return values[1]
    return values[0]


def published_context(config: DictConfig, architecture: Architecture | None) -> int | None:
    """Return the longest sequence of the model in tokens, or None if it is not known or was changed."""
    if architecture is None or _changes_dimensions(config):
        return None
    return _known(architecture, "context_length")


def _changes_dimensions(config: DictConfig) -> bool:
    """Say whether overrides change the model's own configuration, so that what is published does not hold."""
    model = config.actor_rollout_ref.model
    if model.get("hf_config_path") is not None:
        return True
    overridden = OmegaConf.to_container(model.override_config, resolve=True) if model.override_config else {}
    return bool(set(overridden) - {"attn_implementation"})


def _known(architecture: Architecture, name: str) -> object:
    """Return a dimension of an architecture, or None if its configuration does not have it."""
    try:
        return getattr(architecture, name)
    except (ValueError, TypeError, ZeroDivisionError):
        return None
