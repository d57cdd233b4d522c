"""How long a launch takes: each phase of a step, validation, checkpoints, the whole run; device-hours and money.

Phases are those that verl 0.9.1 times (``trainer/ppo/v1/trainer_base.py``: ``timing_s/gen`` and so on), so that an
estimate can be put beside a run, and a run can correct the next estimate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad.estimate import time, vllm
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.megatron import Megatron
from grpo_launchpad.estimate.time import FLOOR, REACHED, Batch, Reached, Responses, Rollout, Trainer
from grpo_launchpad.estimate.verl import Launch
from grpo_launchpad.preflight.layout import needs_reference

# What is assumed of lengths before anything was generated: GSM8K's responses have about a third of 1,024 tokens.
RESPONSE_SHARE, PROMPT_SHARE = 0.3, 0.25
# Attention goes with the square of a length, and lengths of responses spread about as far as their mean.
LENGTH_SPREAD = 1.3
# Nine of ten phases of published RL runs under FSDP are within this factor of their estimate. Of verl with Megatron
# there are only logs whose layout is not complete; their steps took up to three times as long.
BANDS = {"fsdp": 2.0, "megatron": 3.0}
# The same after a run of the launcher itself.
BAND_AFTER_A_RUN = 1.3

ROLLOUT, OLD, REFERENCE, UPDATE, SYNC, OTHER = "gen", "old_log_prob", "ref", "update_actor", "update_weights", "other"
VALIDATION, SAVE = "testing", "save_checkpoint"
NAMES = {
    ROLLOUT: "rollout",
    OLD: "old log-probabilities",
    REFERENCE: "reference log-probabilities",
    UPDATE: "update",
    SYNC: "weight sync",
    OTHER: "rewards and data",
    VALIDATION: "validation",
    SAVE: "checkpoint",
}


@dataclass(frozen=True)
class Lengths:
    """Tokens of samples.

    Attributes:
        prompt: mean.
        response: mean.
        longest: of the longest response of a step.
        origin: where they are known from, for a reader.
    """

    prompt: float
    response: float
    longest: float
    origin: str


@dataclass(frozen=True)
class Work:
    """How often what is done, as far as the configuration and the data say.

    Attributes:
        steps: of the whole run; None if neither the configuration nor the data says.
        validations: in the run.
        validation_samples: of one validation; 0 if the data is not known.
        saves: checkpoints.
    """

    steps: int | None
    validations: int
    validation_samples: int
    saves: int


@dataclass(frozen=True)
class Phase:
    """One phase.

    Attributes:
        key: verl's name in ``timing_s/``.
        floor: seconds that no software goes below.
        seconds: estimated.
        ratio: measured by estimated time of this phase in another run, by which ``seconds`` is corrected already.
    """

    key: str
    floor: float
    seconds: float
    ratio: float = 1.0


@dataclass(frozen=True)
class Duration:
    """The time of a launch.

    Attributes:
        phases: of a step.
        validation: one of them, or None.
        save: one checkpoint, or None.
        work: how often each is done.
        lengths: that it is estimated for.
        devices: in use.
        band: factor within which nine of ten measurements were.
        origin: what it is calibrated by, for a reader.
    """

    phases: tuple[Phase, ...]
    validation: Phase | None
    save: Phase | None
    work: Work
    lengths: Lengths
    devices: int
    band: float
    origin: str

    @property
    def step(self) -> float:
        """Seconds of a step without validation and checkpoint."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def floor(self) -> float:
        """The floor of the same."""
        return sum(phase.floor for phase in self.phases)

    @property
    def total(self) -> float | None:
        """Seconds of all steps, validations and checkpoints; None if the number of steps is not known."""
        if self.work.steps is None:
            return None
        validation = self.validation.seconds * self.work.validations if self.validation else 0.0
        saves = self.save.seconds * self.work.saves if self.save else 0.0
        return self.step * self.work.steps + validation + saves

    @property
    def device_hours(self) -> float | None:
        """Hours of all devices together."""
        return None if self.total is None else self.total * self.devices / 3600


def assumed_lengths(config: DictConfig) -> Lengths:
    """Return what is assumed of lengths where nothing was measured."""
    prompt, response = config.data.max_prompt_length, config.data.max_response_length
    said = f"responses assumed to have {RESPONSE_SHARE * response:,.0f} of {response:,} tokens on average"
    return Lengths(max(1.0, PROMPT_SHARE * prompt), max(1.0, RESPONSE_SHARE * response), response, said)


def work_of(config: DictConfig, train_rows: int | None, validation_rows: int | None) -> Work:
    """Count steps, validations and checkpoints. Source: ``trainer/ppo/v1/trainer_base.py`` of verl 0.9.1, fit.

    Args:
        config: composed.
        train_rows: of the training files that are left after filtering; None if not known.
        validation_rows: of the validation files; None if not known.
    """
    trainer = config.trainer
    steps = trainer.total_training_steps
    if steps is None and train_rows is not None:
        steps = train_rows // config.data.train_batch_size * trainer.total_epochs
    validations = int(bool(trainer.val_before_train))
    saves = 0
    if steps:
        if (trainer.test_freq or -1) > 0:
            validations += -(-steps // trainer.test_freq)  # after the last step in any case
        if (trainer.save_freq or -1) > 0:
            saves = -(-steps // trainer.save_freq)
    rows = validation_rows or 0
    if isinstance(config.data.val_max_samples, int) and config.data.val_max_samples > 0:
        rows = min(rows, config.data.val_max_samples)
    return Work(steps, validations, rows * config.actor_rollout_ref.rollout.val_kwargs.n, saves)


def duration_of(
    config: DictConfig,
    launch: Launch,
    device: Device,
    lengths: Lengths,
    work: Work,
    ratios: Mapping[str, float] | None = None,
    origin: str = "not calibrated",
    band: float | None = None,
) -> Duration:
    """Estimate the time of a launch.

    Args:
        config: composed.
        launch: what ``launch_of`` reads in it.
        device: the accelerator.
        lengths: of samples.
        work: how often what is done.
        ratios: phase's key -> measured by estimated time in another run.
        origin: which run that was, for a reader.
        band: the factor that the estimate is said to be good for; by default that of its trainer.
    """
    floors = _seconds(config, launch, device, lengths, work, FLOOR)
    seconds = _seconds(config, launch, device, lengths, work, REACHED)
    ratios = ratios or {}

    def phase(key: str) -> Phase:
        ratio = ratios.get(key, 1.0)
        return Phase(key, floors[key], max(seconds[key] * ratio, floors[key]), ratio)

    return Duration(
        phases=tuple(phase(key) for key in (ROLLOUT, OLD, REFERENCE, UPDATE, SYNC, OTHER) if key in seconds),
        validation=phase(VALIDATION) if VALIDATION in seconds and work.validations else None,
        save=phase(SAVE) if work.saves else None,
        work=work,
        lengths=lengths,
        devices=launch.layout.world,
        band=band or BANDS[launch.layout.engine],
        origin=origin,
    )


def _seconds(
    config: DictConfig, launch: Launch, device: Device, lengths: Lengths, work: Work, reached: Reached
) -> dict[str, float]:
    layout, trainer = launch.layout, trainer_of(launch, device)
    rollout = config.actor_rollout_ref.rollout
    samples = layout.train_batch * layout.group
    length = lengths.prompt + lengths.response
    padded = 1.0 if layout.remove_padding else launch.max_length / length
    updates = max(1, layout.train_batch // max(1, layout.mini_batch)) * config.actor_rollout_ref.actor.ppo_epochs
    batch = Batch(
        tokens=samples * length * config.actor_rollout_ref.actor.ppo_epochs,
        length=LENGTH_SPREAD * length if padded == 1 else launch.max_length,
        micro_tokens=_micro_tokens(launch.tokens.most, launch, length, config.actor_rollout_ref.actor.use_dynamic_bsz),
        updates=updates,
        padded=padded,
    )
    forward = replace(
        batch,
        tokens=samples * length,
        micro_tokens=_micro_tokens(launch.log_prob_tokens.most, launch, length, rollout.log_prob_use_dynamic_bsz),
        updates=1,
    )
    load = time.load_seconds(trainer, reached)
    engine = rollout_of(launch, device)
    generated = Responses(samples, layout.train_batch, lengths.prompt, lengths.response, lengths.longest)
    seconds = {
        ROLLOUT: time.rollout_seconds(engine, generated, reached),
        UPDATE: time.train_seconds(trainer, batch, reached) + load,
        SYNC: time.sync_seconds(launch.shape, device, reached, apart=not layout.shares_gpus),
        OTHER: samples * reached.phase,
        SAVE: time.save_seconds(trainer, reached),
    }
    if not OmegaConf.select(config, "algorithm.rollout_correction.bypass_mode", default=False):
        seconds[OLD] = time.forward_seconds(trainer, forward, reached) + load
    if needs_reference(config):
        reference = replace(trainer, lora_rank=0)
        on_host = time.load_seconds(replace(trainer, offloads_parameters=launch.reference_on_host), reached)
        seconds[REFERENCE] = time.forward_seconds(reference, forward, reached) + on_host
    if work.validation_samples:
        count = work.validation_samples
        validated = replace(generated, count=count, prompts=count / max(1, rollout.val_kwargs.n))
        seconds[VALIDATION] = time.rollout_seconds(engine, validated, reached) + count * reached.phase
    return seconds


def _micro_tokens(most: int, launch: Launch, length: float, dynamic: bool) -> float:
    """Return the tokens of a micro-batch of all devices that share a sequence."""
    sharing = launch.layout.cp if launch.layout.engine == "megatron" else launch.layout.sp
    if dynamic:
        return most * sharing
    return max(1.0, most * sharing / launch.max_length * length)


def trainer_of(launch: Launch, device: Device) -> Trainer:
    """Return a launch's trainer as its time depends on it."""
    layout, setup = launch.layout, launch.trainer
    both = {
        "shape": launch.shape,
        "device": device,
        "devices": layout.world,
        "per_node": layout.gpus_per_node,
        "lora_rank": setup.lora_rank,
        "offloads_parameters": launch.param_offload,
        "offloads_optimizer": launch.optimizer_offload,
    }
    if isinstance(setup, Megatron):
        recompute = {"full": 1.0, "selective": 0.05}.get(setup.recompute, 0.0)
        if setup.recompute_layers is not None:
            recompute *= min(1.0, setup.recompute_layers * layout.pp / len(launch.shape.layers))
        return Trainer(
            **both,
            sharded=False,
            tp=layout.tp,
            pp=layout.pp,
            vpp=layout.vpp or 1,
            cp=layout.cp,
            ep=layout.ep,
            lean=True,
            recompute=recompute,
            on_host=setup.on_host,
        )
    return Trainer(
        **both,
        shards=setup.shards,
        cp=layout.sp,
        lean=setup.kernels.compiled,
        recompute=1.0 if setup.recompute == "full" else 0.0,
        accumulates_unsharded=setup.accumulates,
        weights_on_host=setup.weights_on_host,
    )


def rollout_of(launch: Launch, device: Device) -> Rollout:
    """Return a launch's rollout engines as their time depends on them."""
    engine, layout = launch.engine, launch.layout
    return Rollout(
        shape=launch.shape,
        device=device,
        devices=layout.world,
        tp=layout.replica,
        per_node=layout.gpus_per_node,
        eager=engine.eager,
        lora=engine.lora_rank > 0,
        max_sequences=engine.sequences,
        cache_bytes=max(1.0, vllm.cache(engine, device.memory)),
    )


# ------------------------------------------------------------------------------------------------- for a reader


def line(duration: Duration, price: float | None = None) -> str:
    """Return the time in one line: a step with its largest phases, the run, device-hours and, with a price, money."""
    largest = sorted(duration.phases, key=lambda phase: -phase.seconds)[:2]
    shares = ", ".join(f"{NAMES[phase.key]} {phase.seconds / duration.step:.0%}" for phase in largest)
    text = f"time: about {_duration(duration.step)} a step ({shares}; floor {_duration(duration.floor)})"
    if duration.total is not None:
        text += f", {_duration(duration.total)} for {duration.work.steps:,} steps, {_hours(duration)}"
        if price is not None:
            text += f", {duration.device_hours * price:,.0f} at {price:g} an hour"
    return f"{text}; within a factor {duration.band:g}, {duration.origin}, {duration.lengths.origin}"


def table(duration: Duration, price: float | None = None) -> str:
    """Return the time of each phase: floor, estimate, and how often."""
    rows = [(NAMES[phase.key], phase, "each step") for phase in duration.phases]
    if duration.validation:
        samples = duration.work.validation_samples
        often = f"{duration.work.validations:,} times {samples:,} samples"
        rows.append((NAMES[VALIDATION], duration.validation, often))
    if duration.save:
        rows.append((NAMES[SAVE], duration.save, f"{duration.work.saves:,} times"))
    width = max(len(name) for name, _, _ in rows)
    lines = ["time of a step by phase, seconds (floor, estimate):"]
    for name, phase, often in rows:
        corrected = f", by a run {phase.ratio:.2f} times" if phase.ratio != 1 else ""
        lines.append(f"  {name:{width}} {phase.floor:>8,.1f} {phase.seconds:>8,.1f}  {often}{corrected}")
    lines.append(f"  {'a step':{width}} {duration.floor:>8,.1f} {duration.step:>8,.1f}")
    if duration.total is not None:
        money = f", {duration.device_hours * price:,.0f} at {price:g} an hour" if price is not None else ""
        lines.append(
            f"  the run: {duration.work.steps:,} steps, {_duration(duration.total)}, {_hours(duration)}{money}"
        )
    lines.append(f"  within a factor {duration.band:g}: {duration.origin}; {duration.lengths.origin}")
    return "\n".join(lines)


def as_object(duration: Duration, price: float | None = None) -> dict[str, Any]:
    """Return the time for JSON; seconds, hours, and money in the price's unit."""

    def of(phase: Phase | None) -> dict[str, Any] | None:
        if phase is None:
            return None
        numbers = {"floor": round(phase.floor, 3), "seconds": round(phase.seconds, 3), "ratio": round(phase.ratio, 3)}
        return {"name": NAMES[phase.key], **numbers}

    hours = duration.device_hours
    return {
        "phases": {phase.key: of(phase) for phase in duration.phases},
        "validation": of(duration.validation),
        "save": of(duration.save),
        "step": round(duration.step, 3),
        "floor": round(duration.floor, 3),
        "steps": duration.work.steps,
        "validations": duration.work.validations,
        "saves": duration.work.saves,
        "total": None if duration.total is None else round(duration.total, 1),
        "devices": duration.devices,
        "device_hours": None if hours is None else round(hours, 2),
        "cost": None if hours is None or price is None else round(hours * price, 2),
        "factor": duration.band,
        "calibrated_by": duration.origin,
        "lengths": {
            "prompt": round(duration.lengths.prompt, 1),
            "response": round(duration.lengths.response, 1),
            "longest": round(duration.lengths.longest, 1),
            "origin": duration.lengths.origin,
        },
    }


def _hours(duration: Duration) -> str:
    hours = duration.device_hours
    return f"{hours:,.0f} device-hours" if hours >= 10 else f"{hours:.2g} device-hours"


def _duration(seconds: float) -> str:
    """Say an estimate, in two digits: what is known within a factor of 2 has no seconds beside its minutes."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
