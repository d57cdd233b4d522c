"""Whether a device's memory is enough: fits, tight or does not fit, and how sure that is."""

from dataclasses import dataclass

from grpo_launchpad.estimate.parts import GIB

FITS, TIGHT, DOES_NOT_FIT = "fits", "tight", "does not fit"

# Of what PyTorch reserves, some lies idle between blocks: 1.02 to 1.09 in the rows that publish both.
RESERVED_PER_ALLOCATED = 1.05
# CUDA's context and kernels of a process; NCCL's buffers of a process that has company.
CONTEXT = 0.6 * GIB
COLLECTIVES = 2.0 * GIB
# How far estimates of whole devices are from measurements: nine of ten rows are within it.
BAND = 0.10


@dataclass(frozen=True)
class Verdict:
    """What is said of a device.

    Attributes:
        word: fits, tight or does not fit.
        needed: bytes, as estimated.
        memory: bytes of the device.
    """

    word: str
    needed: float
    memory: float

    @property
    def margin(self) -> float:
        """Bytes that remain; below 0 if they do not suffice."""
        return self.memory - self.needed


def device_total(trainer: float, world: int, engine: float = 0.0) -> float:
    """Return the bytes of a device from what PyTorch allocates in the trainer's process.

    Args:
        trainer: bytes allocated at the peak.
        world: devices of the run.
        engine: bytes of the rollout engine's process.
    """
    return trainer * RESERVED_PER_ALLOCATED + CONTEXT + (COLLECTIVES if world > 1 else 0) + engine


def verdict_of(low: float, high: float, memory: float, band: float = BAND) -> Verdict:
    """Return what is said of a device.

    It fits if even the highest estimate with its error does, and does not fit if not even the lowest less its error
    does; between them it is tight.

    Args:
        low: bytes at least, where lengths of sequences are not known.
        high: bytes at most.
        memory: of the device.
        band: relative error of the estimate.
    """
    if high * (1 + band) <= memory:
        return Verdict(FITS, high, memory)
    if low * (1 - band) > memory:
        return Verdict(DOES_NOT_FIT, high, memory)
    return Verdict(TIGHT, high, memory)
