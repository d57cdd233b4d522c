"""Measured time beside its estimate: of this launcher's last run, of other runs on accelerators, and of published ones.

measured.jsonl beside this file has published runs, a line each; runs on this machine are added to a file of the same
form in the cache folder. A line has the ratio of measured to estimated time of each phase, for the version of the
estimate that wrote it.
"""

import json
import math
import os
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from omegaconf import OmegaConf

from grpo_launchpad import models
from grpo_launchpad.estimate.architecture import Shape
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.duration import (
    BAND_AFTER_A_RUN,
    SAVE,
    VALIDATION,
    Duration,
    Lengths,
    Work,
    assumed_lengths,
    duration_of,
    work_of,
)
from grpo_launchpad.estimate.verl import Launch, launch_of
from grpo_launchpad.report.run_folder import RunFolderError, read_run

PUBLISHED = Path(__file__).with_name("measured.jsonl")
# A run of a model this many times larger or smaller says nothing of another one.
FURTHEST_SIZE = 3.0
# Ratios beyond this come from something else than the speed of the machine.
FURTHEST_RATIO = 5.0


@dataclass(frozen=True)
class Measured:
    """One run: its class, and how much longer each phase took than estimated.

    Attributes:
        id: of the run.
        source: where it is published, or the run folder.
        date: of the measurement, YYYY-MM-DD.
        device: name in the table of devices.
        trainer: "fsdp" or "megatron".
        adapters: whether it trained LoRA.
        parameters: that a token passes.
        phases: phase's key -> measured by estimated seconds.
    """

    id: str
    source: str
    date: str
    device: str
    trainer: str
    adapters: bool
    parameters: float
    phases: dict[str, float]


def own_file() -> Path:
    """Return the file of runs on this machine, which need not be there."""
    return models.cache_folder() / "measured.jsonl"


def read(*files: Path) -> list[Measured]:
    """Return the runs of files that are there; a line that cannot be read is left out."""
    found = []
    for file in files or (own_file(), PUBLISHED):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                found.append(Measured(**json.loads(line)))
            except (ValueError, TypeError):
                continue
    return found


def add(measured: Measured, file: Path | None = None) -> None:
    """Add a run, in place of an older line of the same id.

    Raises:
        OSError: if the file cannot be written.
    """
    file = file or own_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = [each for each in read(file) if each.id != measured.id]
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text("".join(json.dumps(asdict(each)) + "\n" for each in [*kept, measured]), encoding="utf-8")
    partial.replace(file)


def nearest(runs: Iterable[Measured], launch: Launch, device: Device) -> Measured | None:
    """Return the run that is most like a launch: of the same device, trainer and kind of training, nearest in size.

    Args:
        runs: to choose from; of two that are equally near, the earlier one.
        launch: what is estimated.
        device: the accelerator.
    """
    size = launch.shape.active
    kind = (device.name, launch.layout.engine, launch.trainer.lora_rank > 0)
    like = [each for each in runs if (each.device, each.trainer, each.adapters) == kind]
    best = min(like, key=lambda each: _distance(each.parameters, size), default=None)
    return best if best and _distance(best.parameters, size) <= math.log(FURTHEST_SIZE) else None


def _distance(one: float, other: float) -> float:
    return abs(math.log(max(one, 1.0) / max(other, 1.0)))


@dataclass(frozen=True)
class Run:
    """What a run of a launcher measured.

    Attributes:
        seconds: phase's key -> median of its steps.
        lengths: of its samples.
        steps: that were measured.
    """

    seconds: dict[str, float]
    lengths: Lengths
    steps: int


def measure(folder: Path) -> Run | None:
    """Return what a run measured, or None if there is no such run, or it has no complete step.

    The first step, in which kernels are compiled and caches are filled, counts only where there is no other.
    """
    try:
        metrics = read_run(folder).metrics
    except RunFolderError:
        return None
    steps = [values for _, values in sorted(metrics.items()) if "timing_s/step" in values]
    if not steps:
        return None
    steps = steps[1:] or steps

    def median(name: str) -> float:
        found = [values[name] for values in steps if math.isfinite(values.get(name, math.nan))]
        return statistics.median(found) if found else math.nan

    names = {name for values in steps for name in values if name.startswith("timing_s/")}
    seconds = {name.removeprefix("timing_s/"): median(name) for name in names}
    response, prompt = median("response_length/mean"), median("prompt_length/mean")
    if not all(map(math.isfinite, (response, prompt))):
        return None
    said = f"lengths of the last run ({response:,.0f} tokens a response)"
    longest = median("response_length/max")
    lengths = Lengths(prompt, response, longest if math.isfinite(longest) else response, said)
    return Run({key: value for key, value in seconds.items() if math.isfinite(value)}, lengths, len(steps))


def ratios_of(run: Run, folder: Path, shape: Shape, device: Device) -> dict[str, float]:
    """Return measured by estimated time of each phase of a run, estimated for the configuration that it ran with.

    Args:
        run: what it measured.
        folder: of the run, which holds its configuration.
        shape: of its model.
        device: that it ran on.

    Returns:
        Nothing if the configuration is not there or cannot be estimated.
    """
    from grpo_launchpad.runs.folder import RunFolder

    try:
        config = OmegaConf.load(RunFolder(folder).configuration)
        launch = launch_of(config, shape, npu=device.kind == "npu")
        estimated = duration_of(config, launch, device, run.lengths, work_of(config, None, None))
    except (OSError, ValueError, ZeroDivisionError, AttributeError):
        return {}
    return ratios_between(run.seconds, estimated)


def ratios_between(seconds: dict[str, float], estimated: Duration) -> dict[str, float]:
    """Return measured by estimated time of the phases that both have."""
    phases = [*estimated.phases, *filter(None, (estimated.validation, estimated.save))]
    ratios = {}
    for phase in phases:
        if seconds.get(phase.key) and phase.seconds > 0:
            ratio = seconds[phase.key] / phase.seconds
            ratios[phase.key] = min(FURTHEST_RATIO, max(1 / FURTHEST_RATIO, ratio))
    return ratios


def calibrated(
    config,
    launch: Launch,
    device: Device,
    train_rows: int | None = None,
    validation_rows: int | None = None,
    last_run: Path | None = None,
    runs: Iterable[Measured] | None = None,
) -> Duration:
    """Estimate the time of a launch with the best measurement there is: its last run, else the nearest other one.

    Args:
        config: composed.
        launch: what ``launch_of`` reads in it.
        device: the accelerator.
        train_rows: of the training files, if known.
        validation_rows: of the validation files, if known.
        last_run: folder of a run of this launcher on this device; None if there is none.
        runs: others to choose from; by default those of the two files.
    """
    work: Work = work_of(config, train_rows, validation_rows)
    run = measure(last_run) if last_run is not None else None
    if run is not None and (ratios := ratios_of(run, last_run, launch.shape, device)):
        origin = f"calibrated by {run.steps} steps of {last_run.name}"
        return duration_of(config, launch, device, run.lengths, work, ratios, origin, BAND_AFTER_A_RUN)
    lengths = run.lengths if run is not None else assumed_lengths(config)
    other = nearest(read() if runs is None else runs, launch, device)
    if other is None:
        return duration_of(config, launch, device, lengths, work)
    # How long validation and checkpoints took there depends on its data and its disk.
    ratios = {key: ratio for key, ratio in other.phases.items() if key not in (VALIDATION, SAVE)}
    return duration_of(config, launch, device, lengths, work, ratios, f"calibrated by {other.id}")
