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
from grpo_launchpad.preflight.layout import ACTOR, REF, ROLLOUT, check_layout
from grpo_launchpad.preflight.memory import HOST_PER_DEVICE

# Of equal bytes, a recipe of another task, of experts or of images is this much further away.
OTHER_TASK, OTHER_KIND = 0.5, 4.0
# Micro batches of the update, in samples of full length; one is the least that a budget must hold.
SAMPLES = (8, 4, 2, 1)
SHARES = (0.6, 0.5, 0.4, 0.8)
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
    for layout in _spreads(wanted, shape, engine):
        spread = with_changes(config, layout)
        if check_layout(spread, wanted.architecture):
            continue
        # All settings are tried on what was read once; the one that fits is proved with its configuration.
        launch = launch_of(spread, shape, npu=wanted.device.kind == "npu")
        for setting in _settings(config, layout, engine):
            if not _fits(wanted, setting.of(launch)):
                continue
            changes = {**layout, **setting.changes}
            if answer := _proved(wanted, with_changes(config, changes)):
                found.append(Found(recipe, variables, changes, *answer))
            break
    return found


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


def _fits(wanted: Wanted, launch: Launch) -> bool:
    """Say whether a layout fits the devices and the host, with a cache for one sequence at least."""
    memory = memory_of(launch, wanted.device)
    if memory.verdict is not None and memory.verdict.word == DOES_NOT_FIT:
        return False
    roomy = memory.concurrent is None or memory.concurrent >= 1
    return roomy and host_total(memory) <= HOST_PER_DEVICE * wanted.per_node


def _proved(wanted: Wanted, config: DictConfig) -> tuple[Memory, Duration] | None:
    """Return the estimate of a configuration, or None if it breaks a rule or does not fit after all."""
    if check_layout(config, wanted.architecture) or check_batch(config, wanted.architecture):
        return None
    found = estimate(config, wanted.device, npu=wanted.device.kind == "npu")
    if found.memory.verdict is not None and found.memory.verdict.word == DOES_NOT_FIT:
        return None
    return found.memory, calibrated(config, found.launch, wanted.device)


def _spreads(wanted: Wanted, shape: Shape, engine: str) -> Iterator[Change]:
    """Yield how a model is spread: by the trainer, and by the engine."""
    world = wanted.nodes * wanted.per_node
    within = [size for size in (1, 2, 4, 8, 16) if size <= wanted.per_node and wanted.per_node % size == 0]
    for rollout in within:
        chosen: Change = {f"{ROLLOUT}.tensor_model_parallel_size": rollout}
        if engine == "fsdp":
            for sp in within[:3]:
                keys = [f"{part}.fsdp_config.ulysses_sequence_parallel_size" for part in (ACTOR, REF)]
                yield chosen | dict.fromkeys(keys, sp)
            continue
        for tp in within:
            for pp in (1, 2, 4, 8):
                for ep in (1, 2, 4, 8, 16, 32) if shape.is_moe else (1,):
                    if world % (tp * pp) or world % (ep * pp):
                        continue
                    yield chosen | {
                        f"{ACTOR}.megatron.tensor_model_parallel_size": tp,
                        f"{ACTOR}.megatron.pipeline_model_parallel_size": pp,
                        f"{ACTOR}.megatron.context_parallel_size": 1,
                        f"{ACTOR}.megatron.expert_model_parallel_size": ep,
                        **({f"{ACTOR}.megatron.expert_tensor_parallel_size": 1} if shape.is_moe else {}),
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
    """

    engine: str
    budget: int
    share: float
    param_offload: bool
    optimizer_offload: bool
    recompute: bool = True
    on_host: bool = False

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


def _settings(config: DictConfig, layout: Change, engine: str) -> Iterator[Setting]:
    """Yield settings, those that cost the least time first."""
    length = config.data.max_prompt_length + config.data.max_response_length
    sharing = int(layout.get(f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size", 1))
    budgets = [math.ceil(samples * length / sharing) for samples in SAMPLES]
    budgets = [budget for budget in budgets if budget <= MOST_TOKENS] or budgets[-1:]
    # (recompute, weights, optimizer, all states on the host)
    kept = ((False, False, False), (False, True, False), (True, True, False))
    megatron = [(recompute, *offloads) for recompute in (False, True) for offloads in kept]
    fsdp = [(True, *offloads) for offloads in (*kept, (False, False, True))]
    for recompute, params, optimizer, on_host in megatron if engine == "megatron" else fsdp:
        for share in SHARES:
            for budget in budgets:
                yield Setting(engine, budget, share, params, optimizer, recompute, on_host)


def _recomputation(full: bool) -> Change:
    transformer = f"{ACTOR}.megatron.override_transformer_config"
    if not full:
        return {f"{transformer}.recompute_granularity": None}
    return {
        f"{transformer}.recompute_granularity": "full",
        f"{transformer}.recompute_method": "uniform",
        f"{transformer}.recompute_num_layers": 1,
    }
