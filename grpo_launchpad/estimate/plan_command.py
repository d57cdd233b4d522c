"""Find the layouts with which a model fits given devices.

python -m grpo_launchpad plan --model OWNER/NAME --gpus 4xA100-40 --task math [--lora] [--write]
"""

import argparse
import json
import re
import sys
from pathlib import Path

from grpo_launchpad import models
from grpo_launchpad.architectures import Architecture, of_model
from grpo_launchpad.estimate import show
from grpo_launchpad.estimate.devices import UnknownDeviceError, device_of
from grpo_launchpad.estimate.layouts import Found, NoRecipeError, Wanted, layouts
from grpo_launchpad.estimate.mend import as_fix
from grpo_launchpad.estimate.of_config import NoEstimateError
from grpo_launchpad.estimate.parts import GIB
from grpo_launchpad.estimate.write_launcher import name_of, page_of
from grpo_launchpad.launch.launchers import FOLDER
from grpo_launchpad.launch.page import Page
from grpo_launchpad.launch.plan import ROOT
from grpo_launchpad.preflight.compose import ComposeError

MACHINE = re.compile(r"(?:(?P<nodes>\d+)x)?(?P<count>\d+)x(?P<device>.+)")
MOST_NODES, MOST_DEVICES = 512, 16
SHOWN = 5


class Refused(ValueError):
    """What is asked for cannot be; the text says why and what would."""


def main(arguments: list[str] | None = None) -> int:
    """Print the layouts, best first; return the exit code: 2 for a mistake, 1 if nothing fits."""
    parser = argparse.ArgumentParser(prog="grpo-launchpad plan", description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="owner/name on a hub, or a folder with its config.json")
    parser.add_argument("--gpus", required=True, metavar="[NODESx]COUNTxDEVICE", help="4xA100-40, 2x8xH100")
    parser.add_argument("--task", required=True, help="a data set of data_prep: gsm8k, math, geo3k, ...")
    parser.add_argument("--lora", action="store_true", help="train adapters")
    parser.add_argument("--backend", choices=["fsdp", "megatron"], help="of the trainer; by default both are tried")
    parser.add_argument("--max-prompt", type=int, metavar="TOKENS", help="by default as in the nearest recipe")
    parser.add_argument("--max-response", type=int, metavar="TOKENS", help="by default as in the nearest recipe")
    parser.add_argument("--top", type=int, default=SHOWN, help=f"layouts shown (default: {SHOWN})")
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.add_argument(
        "--write", action="store_true", help="write the best one as a launcher into examples/grpo_trainer"
    )
    args = parser.parse_args(arguments)
    try:
        wanted = _wanted(args)
        found = layouts(wanted)
        if not found:
            print(_nothing(wanted), file=sys.stderr)
            return 1
        shown = found[: max(1, args.top)]
        if args.json:
            print(json.dumps([_as_object(wanted, each) for each in shown], indent=2))
        else:
            print(_table(wanted, shown, len(found)))
        if args.write:
            print(f"wrote {_write(wanted, found[0])}", file=sys.stderr)
    except (Refused, UnknownDeviceError, NoEstimateError, NoRecipeError, ComposeError) as error:
        print(f"grpo-launchpad plan: {error}", file=sys.stderr)
        return 2
    return 0


def _wanted(args: argparse.Namespace) -> Wanted:
    machine = MACHINE.fullmatch(args.gpus.strip())
    if machine is None:
        raise Refused(f"--gpus {args.gpus} is not of the form 4xA100-40 or 2x8xH100")
    nodes, count = int(machine["nodes"] or 1), int(machine["count"])
    if not (1 <= nodes <= MOST_NODES and 1 <= count <= MOST_DEVICES):
        limits = f"1 to {MOST_NODES} machines of 1 to {MOST_DEVICES} devices can be planned for"
        raise Refused(f"--gpus {args.gpus}: {limits}")
    for name in ("max_prompt", "max_response"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise Refused(f"--{name.replace('_', '-')} {value} is not a number of tokens above 0")
    tasks = sorted(file.stem for file in (ROOT / "data_prep").glob("[a-z]*.py") if file.stem != "custom")
    if args.task not in tasks:
        raise Refused(f"--task {args.task} is no data set of data_prep; there are {', '.join(tasks)}")
    return Wanted(
        model=args.model,
        architecture=_architecture(args.model),
        device=device_of(machine["device"]),
        nodes=nodes,
        per_node=count,
        task=args.task,
        lora=args.lora,
        backends=(args.backend,) if args.backend else ("fsdp", "megatron"),
        prompt=args.max_prompt,
        response=args.max_response,
    )


def _architecture(model: str) -> Architecture:
    try:
        found = of_model(str(models.locate(model) or model))
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error
    if found is None:
        fetch = f"python -m grpo_launchpad models {model}"
        where = "neither a folder with a config.json, nor in a hub's cache, nor in the table of architectures"
        raise Refused(f"{model} is {where}; fetch it first: {fetch}")
    return found


def _nothing(wanted: Wanted) -> str:
    machine = f"{wanted.nodes} x {wanted.per_node} {wanted.device.name}"
    instead = "" if wanted.lora else ", or train adapters (--lora)"
    return f"grpo-launchpad plan: {wanted.model} fits no layout on {machine}; give it more devices{instead}"


def _table(wanted: Wanted, shown: list[Found], count: int) -> str:
    machine = f"{wanted.nodes} x {wanted.per_node} {wanted.device.name}"
    lines = [f"{count} layouts of {wanted.model} on {machine}, best first; times are estimates within a factor of 2:"]
    for number, each in enumerate(shown, 1):
        verdict = each.memory.verdict.word if each.memory.verdict else "no verdict"
        worst = each.memory.worst
        hours = each.duration.step * wanted.nodes * wanted.per_node / 3600
        lines.append(
            f"{number}. {verdict}: {worst.total / GIB:.1f} of {wanted.device.memory / GIB:.1f} GiB ({worst.name}), "
            f"{each.duration.step:,.0f} s and {hours:.1f} device-hours a step, "
            f"{each.memory.concurrent or 0:,.0f} sequences at a time in an engine"
        )
        lines.append(f"   {_command(each)}")
    unknown = dict.fromkeys(words for each in shown for words in each.memory.not_modelled)
    return "\n".join([*lines, *(f"not modelled: {words}" for words in unknown)])


def _command(found: Found) -> str:
    """Return the recipe's command with the layout's knobs before it and other keys behind."""
    words = as_fix({key: value for key, value in found.changes.items() if value is not None}, found.engine)
    knobs, _, arguments = words.removeprefix("set ").partition(" and add ")
    set_there = {line.key for line in Page(found.recipe).lines}
    more = [f"++{key}=null" for key, value in found.changes.items() if value is None and key in set_there]
    before = [f"{name}={value}" for name, value in found.variables.items()] + knobs.split(", ")
    behind = [*arguments.split(), *more]
    called = f"bash examples/grpo_trainer/{found.recipe.name}"
    return " ".join([*(_quoted(word) for word in before), called, *behind])


def _quoted(word: str) -> str:
    name, _, value = word.partition("=")
    return f'{name}="{value}"' if "$" in value else word


def _as_object(wanted: Wanted, found: Found) -> dict[str, object]:
    return {
        "recipe": found.recipe.stem,
        "variables": found.variables,
        "changes": found.changes,
        "command": _command(found),
        "seconds_a_step": round(found.duration.step, 1),
        "memory": show.as_object(found.memory, wanted.device, "--gpus"),
    }


def _write(wanted: Wanted, found: Found) -> Path:
    file = FOLDER / f"{name_of(wanted, found)}.sh"
    if file.exists():
        raise Refused(f"{file} is there already; take its knobs, or remove it first")
    file.write_text(page_of(wanted, found), encoding="utf-8")
    file.chmod(0o755)
    return file


if __name__ == "__main__":
    sys.exit(main())
