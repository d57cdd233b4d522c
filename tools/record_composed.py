"""Compose every launcher with verl's configuration tree and record those that pass preflight's static checks: level C.

    python -m tools.record_composed

A record that still fits its launcher and verl is left as it is. Exits with 1 if a launcher does not pass.
"""

import argparse
import sys

from grpo_launchpad.preflight.check import check_configuration, check_values
from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.verification import current, new_record, read, write
from tools.launchers import Launcher, LauncherError, all_launchers, overrides_of


def complaint(launcher: Launcher) -> str:
    """Return what is wrong with a launcher as far as neither data nor model nor machine are needed, or ""."""
    try:
        overrides = overrides_of(launcher)
        config = compose(overrides)
    except (LauncherError, ComposeError) as error:
        return str(error)
    problems = check_values(config, overrides) or check_configuration(config, overrides, launcher.architecture)
    return "".join(f"\n  {problem.where}: {problem.what}\n    fix: {problem.fix}" for problem in problems)


def main() -> None:
    argparse.ArgumentParser(prog="python -m tools.record_composed", description=__doc__.splitlines()[0]).parse_args()
    refused = 0
    for launcher in all_launchers():
        if wrong := complaint(launcher):
            print(f"{launcher.name}: {wrong}", file=sys.stderr)
            refused += 1
            continue
        record = new_record(launcher.path, "C")
        old = current(launcher.path, read()).get("C")
        if old is None or old.verl != record.verl:
            write(record)
            print(f"{launcher.name}: composes")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
