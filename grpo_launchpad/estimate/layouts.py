"""The layouts with which a model fits given devices, best first: a nearest recipe with other values of its knobs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import DictConfig

from grpo_launchpad.architectures import Architecture, of_model
from grpo_launchpad.estimate.architecture import Shape, shape_of
from grpo_launchpad.estimate.calibration import calibrated
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.duration import Duration
from grpo_launchpad.estimate.fsdp import Fsdp
from grpo_launchpad.estimate.memory import Memory, host_total, memory_of
from grpo_launchpad.estimate.mend import Change, with_changes
from grpo_launchpad.estimate.of_config import NoEstimateError, estimate
from grpo_launchpad.estimate.verdict import DOES_NOT_FIT, FITS
from grpo_launchpad.estimate.verl import Launch, launch_of
from grpo_launchpad.launch.launchers import all_files
from grpo_launchpad.launch.name import LauncherName
from grpo_launchpad.launch.plan import plan_of_page
from grpo_launchpad.preflight.batch import check_batch
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.layout import ACTOR, KEYS, REF, ROLLOUT, Model, check_layout, layout_of, violations
from grpo_launchpad.preflight.memory import HOST_PER_DEVICE

# Of equal bytes, a recipe of another task, of experts or of images is this much further away.
OTHER_TASK, OTHER_KIND = 0.5, 4.0
# Micro batches of the update, in samples of full length; one is the least that a budget must hold.
SAMPLES = (8, 4, 2, 1)
SHARES = (0.6, 0.5, 0.4, 0.8)
SIZES = (1, 2, 4, 8, 16, 32)
MOST_TOKENS = 65536


class NoRecipeError(ValueError):
    """No launcher has the trainer that is asked for; the text names those that there are."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        model: a folder, or owner/name.
        architecture: of it.
        device: the accelerator.
        nodes: machines.
        per_node: devices of each.
        task: of ``data_prep``.
        lora: whether adapters are trained.
        backends: "fsdp", "megatron", or both.
        prompt: tokens at most; None as in the recipe.
        response: the same of responses.
    """

    model: str
    architecture: Architecture
    device: Device
    nodes: int
    per_node: int
    task: str
    lora: bool = False
    backends: tuple[str, ...] = ("fsdp", "megatron")
    prompt: int | None = None
    response: int | None = None


@dataclass(frozen=True)
class Found:
    """One layout.

    Attributes:
        recipe: the launcher it starts from.
        variables: knobs that every layout of this model and machine sets.
        changes: what this layout sets beside them.
        memory: its estimate.
        duration: its time.
    """

    recipe: Path
    variables: dict[str, str]
    changes: Change
    memory: Memory
    duration: Duration

    @property
    def engine(self) -> str:
        return LauncherName.parse(self.recipe).engine

    @property
    def order(self) -> tuple[bool, float]:
        """The better, the smaller: what surely fits first, then the shorter step."""
        return (self.memory.verdict is None or self.memory.verdict.word != FITS, self.duration.step)


def layouts(wanted: Wanted) -> list[Found]:
    """Return what fits, or is tight, best first.

    Raises:
        NoRecipeError: if no launcher has the trainer that is asked for.
        NoEstimateError: if the model cannot be estimated.
    """
    try:
        shape = shape_of(wanted.architecture.config)
    except ValueError as error:
        raise NoEstimateError(str(error)) from error
    found = []
    for backend in wanted.backends:
        recipe = nearest_recipe(wanted, shape, backend)
        if recipe is not None:
            found += _of_recipe(wanted, shape, recipe)
    if not found and not any(nearest_recipe(wanted, shape, backend) for backend in wanted.backends):
        with_adapters = " with adapters" if wanted.lora else ""
        raise NoRecipeError(f"there is no recipe for {' or '.join(wanted.backends)}{with_adapters} on such devices")
    return sorted(found, key=lambda each: each.order)


def nearest_recipe(wanted: Wanted, shape: Shape, backend: str) -> Path | None:
    """Return the launcher that is most like what is asked for: its task, its kind of model, its size."""
    device = "-npu" if wanted.device.kind == "npu" else ""
    name = f"{backend}{'-lora' if wanted.lora else ''}{device}"

    def distance(file: Path) -> float:
        fields = LauncherName.parse(file)
        other = of_model(fields.model)
        if other is None:
            return math.inf
        its = shape_of(other.config)
        apart = abs(math.log(its.total / shape.total))
        apart += OTHER_KIND * (its.is_moe != shape.is_moe) + OTHER_KIND * (
            (its.vision is None) != (shape.vision is None)
        )
        return apart + OTHER_TASK * (fields.task != wanted.task)

    same = [file for file in all_files() if LauncherName.parse(file).backend == name]
    if not same and device:  # a launcher for GPUs, which a name with -npu makes one for NPUs
        return None
    return min(same, key=distance, default=None)


def _of_recipe(wanted: Wanted, shape: Shape, recipe: Path) -> list[Found]:
    variables = variables_of(wanted, recipe)
    config = compose(plan_of_page(recipe, variables).overrides)
    engine = LauncherName.parse(recipe).engine
    found = []
    base, model = layout_of(config), Model.of(wanted.architecture)
    for layout in _spreads(wanted, shape, config, engine):
        if violations(replace(base, **_numbers(layout)), model):
            continue
        # All settings are tried on what was read once; the one that fits is proved with its configuration.
        launch = launch_of(with_changes(config, layout), shape, npu=wanted.device.kind == "npu")
        if (setting := _first_that_fits(wanted, launch, _settings(config, layout, engine))) is None:
            continue
        changes = {**layout, **setting.changes}
        if answer := _proved(wanted, with_changes(config, changes)):
            found.append(Found(recipe, variables, changes, *answer))
    return found


def _numbers(layout: Change) -> dict[str, object]:
    """Return a layout as the numbers of the rules."""
    by_key = {key: name for name, keys in KEYS.items() for key in keys}
    return {by_key[key]: value for key, value in layout.items() if key in by_key}


def _first_that_fits(wanted: Wanted, launch: Launch, settings: list["Setting"]) -> "Setting | None":
    """Return the cheapest setting that fits, else the cheapest that is tight."""
    frugal = [setting for setting in settings if setting.is_frugal]
    if all(_said(wanted, setting.of(launch)) == DOES_NOT_FIT for setting in frugal):
        return None
    tight = None
    for setting in settings:
        said = _said(wanted, setting.of(launch))
        if said == FITS:
            return setting
        if said != DOES_NOT_FIT:
            tight = tight or setting
    return tight


def variables_of(wanted: Wanted, recipe: Path) -> dict[str, str]:
    """Return the knobs that follow from the model, the machine, the task and the lengths."""
    variables = {"MODEL_PATH": wanted.model, "NNODES": str(wanted.nodes), "NGPUS_PER_NODE": str(wanted.per_node)}
    if LauncherName.parse(recipe).task != wanted.task:
        for knob, split in (("TRAIN_FILES", "train"), ("VAL_FILES", "test")):
            variables[knob] = f"${{DATA_DIR}}/{wanted.task}/{split}.parquet"
    for knob, length in (("MAX_PROMPT_LENGTH", wanted.prompt), ("MAX_RESPONSE_LENGTH", wanted.response)):
        if length:
            variables[knob] = str(length)
    return variables


def _said(wanted: Wanted, launch: Launch) -> str:
    """Return the verdict on the devices; a host that is too small and a cache without room do not fit either."""
    memory = memory_of(launch, wanted.device)
    no_room = memory.concurrent is not None and memory.concurrent < 1
    if no_room or host_total(memory) > HOST_PER_DEVICE * wanted.per_node:
        return DOES_NOT_FIT
    return memory.verdict.word if memory.verdict else FITS


def _proved(wanted: Wanted, config: DictConfig) -> tuple[Memory, Duration] | None:
    """Return the estimate of a configuration, or None if it breaks a rule or does not fit after all."""
    if check_layout(config, wanted.architecture) or check_batch(config, wanted.architecture):
        return None
    found = estimate(config, wanted.device, npu=wanted.device.kind == "npu")
    if found.memory.verdict is not None and found.memory.verdict.word == DOES_NOT_FIT:
        return None
    return found.memory, calibrated(config, found.launch, wanted.device)


def _spreads(wanted: Wanted, shape: Shape, config: DictConfig, engine: str) -> Iterator[Change]:
    """Yield how a model is spread: by the engine, and by the trainer."""
    world = wanted.nodes * wanted.per_node
    within = [size for size in SIZES if size <= wanted.per_node and wanted.per_node % size == 0]
    rollouts: list[Change] = [{f"{ROLLOUT}.tensor_model_parallel_size": size} for size in within]
    if layout_of(config).replica > wanted.per_node:  # an engine over several machines stays as the recipe has it
        rollouts.append({})
    for rollout in rollouts:
        if engine == "fsdp":
            for sp in within[:3]:
                keys = [f"{part}.fsdp_config.ulysses_sequence_parallel_size" for part in (ACTOR, REF)]
                yield rollout | dict.fromkeys(keys, sp)
            continue
        for tp in within:
            for pp in (size for size in SIZES if size <= len(shape.layers)):
                for ep in SIZES if shape.is_moe else (1,):
                    if world % (tp * pp) == 0 and world % (ep * pp) == 0:
                        yield rollout | _megatron_spread(shape, tp, pp, ep)


def _megatron_spread(shape: Shape, tp: int, pp: int, ep: int) -> Change:
    megatron, transformer = f"{ACTOR}.megatron", f"{ACTOR}.megatron.override_transformer_config"
    layers = len(shape.layers)
    # Stages of equal size, and what is left for the last one.
    last = layers - (pp - 1) * -(-layers // pp)
    uneven = layers % pp != 0
    return {
        f"{megatron}.tensor_model_parallel_size": tp,
        f"{megatron}.pipeline_model_parallel_size": pp,
        f"{megatron}.virtual_pipeline_model_parallel_size": None,
        f"{megatron}.context_parallel_size": 1,
        f"{megatron}.expert_model_parallel_size": ep,
        **({f"{megatron}.expert_tensor_parallel_size": 1} if shape.is_moe else {}),
        f"{transformer}.num_layers_in_first_pipeline_stage": None,
        f"{transformer}.num_layers_in_last_pipeline_stage": last if uneven and last > 0 else None,
    }


@dataclass(frozen=True)
class Setting:
    """The settings of a layout that are no sizes of groups.

    Attributes:
        engine: "fsdp" or "megatron".
        budget: tokens of a micro batch.
        share: of a device, for the rollout engine.
        param_offload: whether weights wait on the host.
        optimizer_offload: whether the optimizer's states do.
        recompute: on Megatron, whether all layers are recomputed; FSDP's recipes do.
        on_host: under FSDP, whether all states stay on the host.
        smallest: whether no smaller budget holds a sample.
    """

    engine: str
    budget: int
    share: float
    param_offload: bool
    optimizer_offload: bool
    recompute: bool = True
    on_host: bool = False
    smallest: bool = False

    def of(self, launch: Launch) -> Launch:
        """Return a launch with these settings."""
        changed = replace(
            launch.with_budget(self.budget),
            param_offload=self.param_offload,
            optimizer_offload=self.optimizer_offload,
            engine=replace(launch.engine, share=self.share),
        )
        if isinstance(changed.trainer, Fsdp):
            return replace(changed, trainer=replace(changed.trainer, weights_on_host=self.on_host))
        recompute = "full" if self.recompute else "none"
        return replace(changed, trainer=replace(changed.trainer, recompute=recompute, recompute_layers=None))

    @property
    def is_frugal(self) -> bool:
        """Whether nothing takes less of a device but for the engine's share."""
        return self.smallest and self.recompute and (self.on_host or (self.param_offload and self.optimizer_offload))

    @property
    def changes(self) -> Change:
        """The keys of verl that make them."""
        prefix = f"{ACTOR}.megatron" if self.engine == "megatron" else f"{ACTOR}.fsdp_config"
        changes: Change = {
            f"{ACTOR}.ppo_max_token_len_per_gpu": self.budget,
            f"{ROLLOUT}.gpu_memory_utilization": self.share,
            f"{prefix}.param_offload": self.param_offload,
            f"{prefix}.optimizer_offload": self.optimizer_offload,
        }
        if self.engine == "megatron":
            return changes | _recomputation(self.recompute)
        return changes | ({f"{prefix}.offload_policy": True} if self.on_host else {})


def _settings(config: DictConfig, layout: Change, engine: str) -> list[Setting]:
    """Return settings, those that cost the least time first."""
    length = config.data.max_prompt_length + config.data.max_response_length
    sharing = int(layout.get(f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size", 1))
    budgets = [math.ceil(samples * length / sharing) for samples in SAMPLES]
    budgets = [budget for budget in budgets if budget <= MOST_TOKENS] or budgets[-1:]
    # (recompute, weights, optimizer, all states on the host)
    kept = ((False, False, False), (False, True, False), (True, True, False))
    megatron = [(recompute, *offloads) for recompute in (False, True) for offloads in kept]
    fsdp = [(True, *offloads) for offloads in (*kept, (False, False, True))]
    return [
        Setting(engine, budget, share, params, optimizer, recompute, on_host, budget == budgets[-1])
        for recompute, params, optimizer, on_host in (megatron if engine == "megatron" else fsdp)
        for share in SHARES
        for budget in budgets
    ]


def _recomputation(full: bool) -> Change:
    transformer = f"{ACTOR}.megatron.override_transformer_config"
    if not full:
        return {f"{transformer}.recompute_granularity": None}
    return {
        f"{transformer}.recompute_granularity": "full",
        f"{transformer}.recompute_method": "uniform",
        f"{transformer}.recompute_num_layers": 1,
    }
