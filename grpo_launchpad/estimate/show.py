"""An estimate as a person or a program reads it: one line, a table, or an object."""

from typing import Any

from grpo_launchpad.estimate.devices import Device
from grpo_launchpad.estimate.memory import Memory, band_of, host_total
from grpo_launchpad.estimate.parts import GIB, Part

PARTS_SHOWN = 4


def line(memory: Memory, device: Device | None, origin: str) -> str:
    """Return the estimate in one line: verdict, phase, largest part and margin."""
    worst = memory.worst
    largest = f"{worst.name}; {worst.largest.name} {_gib(worst.largest.size)}"
    if memory.verdict is None:
        why = f"; no verdict: {memory.not_modelled[0]}" if device is not None else f"; no verdict: {origin}"
        return f"memory: about {_gib(worst.total)} GiB a device ({largest}){why}"
    verdict = memory.verdict
    margin = f"{_gib(verdict.margin)} GiB left" if verdict.margin >= 0 else f"{_gib(-verdict.margin)} GiB too much"
    amount = f"{_gib(verdict.needed)} of {_gib(verdict.memory)} GiB on {device.name} ({origin})"
    return f"memory: {verdict.word}: {amount}, {margin} ({largest}; +-{band_of(worst, memory.band):.0%})"


def table(memory: Memory) -> str:
    """Return the memory of each phase with its largest parts, and of the host and the disk."""
    names = [*(phase.name for phase in memory.phases), memory.worst.name]
    width = max(map(len, names))
    lines = ["memory of one device by phase, GiB:"]
    shown = memory.phases if memory.worst in memory.phases else (*memory.phases, memory.worst)
    for phase, low in zip(shown, (*memory.lowest, memory.worst.total), strict=False):
        mark = "*" if phase is memory.worst else " "
        least = f" (at least {_gib(low)})" if low < 0.9 * phase.total else ""
        lines.append(f" {mark}{phase.name:{width}} {_gib(phase.total):>6}  {_parts(phase.parts)}{least}")
    if memory.cache_tokens is not None:
        count = f"{memory.cache_tokens / 1000:,.0f} thousand tokens"
        lines.append(f"  KV cache of one engine: {count}, {memory.concurrent:,.0f} sequences of full length at a time")
    lines.append(f"  memory of one machine: {_gib(host_total(memory))} GiB: {_parts(memory.host)}")
    lines.append(f"  /dev/shm of one machine: {_gib(memory.shared)} GiB; checkpoints on disk: {_gib(memory.disk)} GiB")
    lines += [f"  not modelled: {words}" for words in memory.not_modelled]
    return "\n".join(lines)


def as_object(memory: Memory, device: Device | None, origin: str) -> dict[str, Any]:
    """Return the estimate for JSON; sizes in bytes."""
    verdict = memory.verdict
    return {
        "device": {"name": device.name, "memory": device.memory, "origin": origin} if device else None,
        "verdict": verdict.word if verdict else None,
        "needed": round(verdict.needed if verdict else memory.worst.total),
        "margin": round(verdict.margin) if verdict else None,
        "relative_error": round(band_of(memory.worst, memory.band), 3),
        "phase": memory.worst.name,
        "largest_part": memory.worst.largest.name,
        "phases": [
            {
                "name": phase.name,
                "total": round(phase.total),
                "at_least": round(low),
                "parts": {part.name: round(part.size) for part in phase.parts},
            }
            for phase, low in zip(memory.phases, memory.lowest, strict=True)
        ],
        "cache_tokens": round(memory.cache_tokens) if memory.cache_tokens is not None else None,
        "concurrent_sequences": round(memory.concurrent, 1) if memory.concurrent is not None else None,
        "host": {part.name: round(part.size) for part in memory.host},
        "shared_memory": round(memory.shared),
        "checkpoints": round(memory.disk),
        "not_modelled": list(memory.not_modelled),
    }


def _parts(parts: tuple[Part, ...]) -> str:
    """Return the largest parts, then what remains."""
    ordered = sorted(parts, key=lambda part: -part.size)
    shown = [f"{part.name} {_gib(part.size)}" for part in ordered[:PARTS_SHOWN]]
    rest = sum(part.size for part in ordered[PARTS_SHOWN:])
    return ", ".join([*shown, *([f"others {_gib(rest)}"] if rest else [])])


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}" if abs(size) < 100 * GIB else f"{size / GIB:,.0f}"
