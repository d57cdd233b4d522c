"""Check that a launch fits its devices, as far as an estimate can tell."""

from collections.abc import Callable

from omegaconf import DictConfig

from grpo_launchpad.architectures import Architecture
from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.memory import band_of, host_total
from grpo_launchpad.estimate.mend import as_fix, mended
from grpo_launchpad.estimate.of_config import Estimated, NoEstimateError, estimate
from grpo_launchpad.estimate.parts import GIB
from grpo_launchpad.estimate.verdict import DOES_NOT_FIT
from grpo_launchpad.preflight.batch import check_batch
from grpo_launchpad.preflight.layout import ROLLOUT, check_layout, layout_of
from grpo_launchpad.preflight.problem import Problem

SHARE = f"{ROLLOUT}.gpu_memory_utilization"
# A machine of 8 devices has 2 TB of memory at most; a change that needs more of it mends nothing.
HOST_PER_DEVICE = 256 * GIB
# Where a phase's memory is decided, if no change is known that mends it.
KEYS = {"engine start": SHARE, "rollout": SHARE, "rollout engine's share": SHARE}


def check_memory(
    config: DictConfig, found: Estimated, device: Device, architecture: Architecture | None, *, npu: bool
) -> list[Problem]:
    """Return the problem of a launch that does not fit, with the smallest change that was found to make it fit.

    Args:
        config: composed, without other problems.
        found: its estimate.
        device: the accelerator.
        architecture: of the model, for the rules that a change must keep.
        npu: whether devices are Ascend NPUs.
    """
    verdict, worst = found.memory.verdict, found.memory.worst
    if verdict is None or verdict.word != DOES_NOT_FIT:
        return []
    share = worst.name == "rollout engine's share"
    holder = "the engine's share of a device" if share else device.name
    what = (
        f"{worst.name}: about {verdict.needed / GIB:.1f} GiB (+-{band_of(worst, found.memory.band):.0%}), most of it "
        f"{worst.largest.name} with {worst.largest.size / GIB:.1f}; {holder} has {verdict.memory / GIB:.1f}"
    )
    changes = mended(config, _judge(device, architecture, npu))
    if changes is None:
        fix = "choose a smaller model, an adapter (LORA_RANK=32), or devices with more memory (DEVICE=H200)"
        return [Problem(KEYS.get(worst.name, "trainer.n_gpus_per_node"), what, fix)]
    return [Problem(next(iter(changes)), what, as_fix(changes, layout_of(config).engine))]


def _judge(
    device: Device, architecture: Architecture | None, npu: bool
) -> Callable[[DictConfig], tuple[str, str] | None]:
    def judge(config: DictConfig) -> tuple[str, str] | None:
        if check_layout(config, architecture) or check_batch(config, architecture):
            return None
        try:
            memory = estimate(config, device, npu=npu).memory
        except NoEstimateError:
            return None
        if host_total(memory) > HOST_PER_DEVICE * config.trainer.n_gpus_per_node:
            return None
        return (memory.verdict.word, memory.worst.name) if memory.verdict else None

    return judge
