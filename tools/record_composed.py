"""Compose every launcher with verl's configuration tree and record those that pass preflight's static checks: level C.

    python -m tools.record_composed

A record that still fits its launcher and verl is left as it is. Exits with 1 if a launcher does not pass. Writes what
each launcher tells verl, alone and in a smoke run, to tests/examples/commands.json, to be seen in a review.
"""

import argparse
import json
import sys
from pathlib import Path

from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.plan import Plan, plan_of_page
from grpo_launchpad.preflight.check import check_configuration, check_values, report_problems
from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.verification import ANYWHERE, current, new_record, read, write
from tools.launchers import ROOT, Launcher, all_launchers

COMMANDS = ROOT / "tests" / "examples" / "commands.json"


def complaint(launcher: Launcher) -> str:
    """Return what is wrong with a launcher as far as neither data nor model nor machine are needed, or ""."""
    try:
        plan = plan_of_page(launcher.path)
        config = compose(plan.overrides)
    except (UserError, ComposeError) as error:
        return str(error)
    overrides = plan.overrides
    problems = check_values(config, overrides) or check_configuration(config, overrides, launcher.architecture)
    return report_problems(problems, plan.place_of, plan.fix_in_place) if problems else ""


def commands(launcher: Path) -> dict[str, dict[str, str | None]]:
    """Return what a launcher gives verl.

    Returns:
        "plain": key -> value; "smoke": key -> value of those that differ with SMOKE=1, None for those left out, or
        why it refuses.
    """
    plain = _values(plan_of_page(launcher, {}, ANYWHERE))
    try:
        smoke = _values(plan_of_page(launcher, {"SMOKE": "1"}, ANYWHERE))
    except UserError as error:
        return {"plain": plain, "smoke": {"refused": str(error)}}
    changed = {key: smoke.get(key) for key in plain.keys() | smoke.keys() if smoke.get(key) != plain.get(key)}
    return {"plain": plain, "smoke": dict(sorted(changed.items()))}


def _values(plan: Plan) -> dict[str, str]:
    return {key: setting.value for key, setting in sorted(plan.settings.items())}


def main() -> None:
    argparse.ArgumentParser(prog="python -m tools.record_composed", description=__doc__.splitlines()[0]).parse_args()
    refused = 0
    for launcher in all_launchers():
        if wrong := complaint(launcher):
            print(f"{launcher.name}: {wrong}", file=sys.stderr)
            refused += 1
            continue
        if "C" not in current(launcher.path, read()):
            write(new_record(launcher.path, "C"))
            print(f"{launcher.name}: composes")
    of_all = {launcher.name: commands(launcher.path) for launcher in all_launchers()}
    COMMANDS.write_text(json.dumps(of_all, indent=1) + "\n")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
