"""A layout written as a launcher: the nearest recipe's page with other values, and the reasons in its comments."""

import re
from pathlib import Path

from grpo_launchpad.estimate import vllm
from grpo_launchpad.estimate.architecture import shape_of
from grpo_launchpad.estimate.layouts import Found, Wanted
from grpo_launchpad.estimate.parts import GIB
from grpo_launchpad.estimate.vllm import Vllm
from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.launch.name import LauncherName
from grpo_launchpad.launch.page import ELEMENT, FRAME, Page

WIDTH = 116
FAMILY = {"fsdp": "FSDP2", "megatron": "Megatron"}


def name_of(wanted: Wanted, found: Found) -> str:
    """Return the launcher's name: run_<model>_<backend>_<task>."""
    backend = LauncherName.parse(found.recipe).backend
    return f"run_{_slug(wanted)}_{backend}_{wanted.task}"


def page_of(wanted: Wanted, found: Found) -> str:
    """Return the text of the launcher."""
    recipe = Page(found.recipe)
    name, fields = name_of(wanted, found), LauncherName.parse(found.recipe)
    values = _values(wanted, found)
    lines = recipe.text[recipe.text.index(FRAME) :].splitlines()
    body = _with_values(_without_reasons(lines), values, found)
    body = [line.replace(f"/{fields.task}/", f"/{wanted.task}/") for line in body]
    return "\n".join([*_header(wanted, found, name, fields), *_with_memory(body, wanted, found)]) + "\n"


def _slug(wanted: Wanted) -> str:
    if wanted.architecture.parameters is not None:
        return wanted.architecture.name
    name = Path(wanted.model).name.lower().removesuffix("-instruct")
    return re.sub(r"[^a-z0-9.-]+", "-", name).strip("-.") or "model"


def _values(wanted: Wanted, found: Found) -> dict[str, object]:
    """Return the value of every knob and key that the layout sets, by the key of verl."""
    values: dict[str, object] = dict(found.changes)
    named = {"NNODES": "trainer.nnodes", "NGPUS_PER_NODE": "trainer.n_gpus_per_node"}
    named |= {"MODEL_PATH": "actor_rollout_ref.model.path"}
    named |= {"MAX_PROMPT_LENGTH": "data.max_prompt_length", "MAX_RESPONSE_LENGTH": "data.max_response_length"}
    values |= {named[knob]: value for knob, value in found.variables.items() if knob in named}
    lines = {line.key: line.default for line in Page(found.recipe).lines}
    lengths = [
        int(values.get(f"data.max_{part}_length") or lines[f"data.max_{part}_length"])
        for part in ("prompt", "response")
    ]
    values["actor_rollout_ref.rollout.max_model_len"] = sum(lengths)
    return {key: value for key, value in values.items() if value is not None}


def _without_reasons(lines: list[str]) -> list[str]:
    """Leave out what the recipe says of its own memory and numbers: comments of whole lines, and those behind."""
    kept = []
    for line in lines:
        if line.lstrip().startswith("#") and not line.startswith(("# ---", "# shellcheck")):
            continue
        kept.append(re.sub(r'(?<=")\s+# .*$', "", line))
    return kept


def _with_values(lines: list[str], values: dict[str, object], found: Found) -> list[str]:
    """Set values in the lines that have their keys; give the others lines of their own, in the array of the trainer."""
    missing, written = dict(values), []
    dropped = {key for key, value in found.changes.items() if value is None}
    if recompute := next((key for key in dropped if key.endswith(".recompute_granularity")), None):
        dropped |= {recompute.replace("granularity", part) for part in ("method", "num_layers")}
    for line in lines:
        element = ELEMENT.fullmatch(line)
        if element is None:
            written.append(line)
            continue
        key = element["key"]
        if key in dropped:
            continue
        if key in missing:
            written.append(_element(key, missing.pop(key), found.engine, element["prefix"]))
        else:
            written.append(line)
    end = written.index(")", written.index("ACTOR=("))
    known = [key for key, value in missing.items() if not _is_default(key, value)]
    return [*written[:end], *(_element(key, missing[key], found.engine) for key in known), *written[end:]]


def _is_default(key: str, value: object) -> bool:
    """Say whether verl does the same by itself, so that the page need not say it."""
    return value is False or (value == 1 and "parallel_size" in key)


def _element(key: str, value: object, engine: str, prefix: str = "") -> str:
    knob = knob_of(key, engine)
    if knob is None:
        return f'    "{prefix or "++"}{key}={value}"'
    return f'    "{prefix or knob.prefix}{key}=${{{knob.name}:={value}}}"'


def _header(wanted: Wanted, found: Found, name: str, fields: LauncherName) -> list[str]:
    words = [FAMILY[found.engine]] + (["with LoRA"] if wanted.lora else [])
    trainer = " ".join(words) + (" on Ascend NPUs" if wanted.device.kind == "npu" else "")
    unit = "NPU" if wanted.device.kind == "npu" else "GPU"
    machine = f"{wanted.nodes} node{'s' if wanted.nodes > 1 else ''} of {wanted.per_node} {unit}s"
    time = f"about {found.duration.step:,.0f} s a step by its estimate, not measured"
    lines = [
        "#!/usr/bin/env bash",
        f"# GRPO | {Path(wanted.model).name} | {trainer} | {wanted.task.upper()}",
        f"# Hardware: {machine} with {wanted.device.nominal} GB ({wanted.device.name}). Time: {time}.",
        f"# Source: {found.recipe.stem}, laid out anew by `grpo-launchpad plan` for this model and this machine.",
        "#",
    ]
    calls = [("DRY_RUN=1 ", "check everything, print the command"), ("SMOKE=1 ", "the same on a CPU, shrunken")]
    commands = [
        (f"{flag}bash examples/grpo_trainer/{name}.sh", what) for flag, what in (*calls, ("", "run, or resume"))
    ]
    width = max(len(command) for command, _ in commands)
    lines.append(f"#   python data_prep/{wanted.task}.py")
    return [*lines, *(f"#   {command:{width}}    {what}" for command, what in commands)]


def _with_memory(lines: list[str], wanted: Wanted, found: Found) -> list[str]:
    """Put the reasons of the trainer's and of the engine's numbers above them."""
    memory, worst = found.memory, found.memory.worst
    largest = sorted(worst.parts, key=lambda part: -part.size)[:3]
    said = ", ".join(f"{part.name} {part.size / GIB:.1f}" for part in largest)
    trainer = (
        f"Memory: {worst.name} is fullest with {worst.total / GIB:.1f} of {wanted.device.memory / GIB:.1f} GiB: {said}."
    )
    share = float(found.changes["actor_rollout_ref.rollout.gpu_memory_utilization"])
    tensor = int(found.changes["actor_rollout_ref.rollout.tensor_model_parallel_size"])
    weights = vllm.weights(Vllm(shape_of(wanted.architecture.config), tensor=tensor)) / GIB
    tokens = f"{(memory.cache_tokens or 0) / 1000:,.0f} k tokens of KV cache"
    engine = f"    # {share * wanted.device.memory / GIB:.0f} GiB: {weights:.1f} of weights, {tokens}"
    at = lines.index("ACTOR=(")
    written = [*lines[:at], *_wrapped(trainer), *lines[at:]]
    share_at = next(number for number, line in enumerate(written) if "rollout.gpu_memory_utilization=" in line)
    return [*written[:share_at], engine, *written[share_at:]]


def _wrapped(text: str) -> list[str]:
    lines, line = [], "#"
    for word in text.split():
        if len(line) + len(word) + 1 > WIDTH:
            lines.append(line)
            line = "#"
        line += f" {word}"
    return [*lines, line]
