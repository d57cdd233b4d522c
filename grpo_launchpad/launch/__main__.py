"""What examples/lib/launch.sh hands a launcher over to.

    python -m grpo_launchpad.launch --launcher FILE --lines N ... -- OVERRIDE...

People start a launcher with bash, or with `python -m grpo_launchpad launch NAME`.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

MISSING = "{launcher}: {python} lacks the package {package}; run `make install` in {root}, or set PYTHON"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launcher", type=Path, required=True, help="the launcher's file")
    parser.add_argument("--name", required=True, help="of the launcher: run_<model>_<backend>_<task>")
    parser.add_argument("--root", type=Path, required=True, help="the project's folder")
    parser.add_argument("--started-at", type=float, default=time.time(), help="seconds since the epoch")
    parser.add_argument("--cluster-names", default="", help="the variables that cluster/env.sh set")
    parser.add_argument("--lines", type=int, required=True, help="how many of the overrides are the launcher's")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    try:
        return run(args)
    except KeyboardInterrupt:  # before the training, or in its report; what was started is ended
        print(f"\n{args.name}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        print(
            MISSING.format(
                launcher=args.name, python=os.environ.get("PYTHON", sys.executable), package=package, root=args.root
            ),
            file=sys.stderr,
        )
        return 2


def run(args: argparse.Namespace) -> int:
    """Plan, then help, a dry run or a real one; return the exit code."""
    from grpo_launchpad.launch import show
    from grpo_launchpad.launch.environment import UserError
    from grpo_launchpad.launch.name import LauncherNameError
    from grpo_launchpad.launch.plan import make_plan

    lines, arguments = args.overrides[: args.lines], args.overrides[args.lines :]
    wants_help, wants_json = {"-h", "--help"} & set(arguments), "--json" in arguments
    try:
        plan = make_plan(
            args.launcher,
            lines,
            [argument for argument in arguments if argument not in {*wants_help, "--json"}],
            os.environ,
            args.cluster_names.split(),
            args.root,
            args.name,
        )
    except (UserError, LauncherNameError) as error:
        print(f"{args.name}: {error}", file=sys.stderr)
        return 2
    if wants_help:
        print(show.help_text(plan))
        return 0
    if plan.smoked:
        print(show.smoke_line(plan), file=sys.stderr)
    if wants_json:
        return check_as_json(plan)
    if plan.flags["DRY_RUN"] or plan.flags["CHECK"]:
        return dry_run(plan)
    from grpo_launchpad.launch.start import Refused, start

    try:
        return start(plan, args.started_at)
    except Refused as refused:
        text = str(refused)
        print(text if text.startswith("preflight: ") else f"{args.name}: {text}", file=sys.stderr)
        return refused.exit_code


def dry_run(plan) -> int:
    """Show and check a plan, and print its command; return the exit code."""
    from grpo_launchpad.launch import show
    from grpo_launchpad.launch.environment import UserError
    from grpo_launchpad.launch.stage import stage_before, with_exported_model

    try:
        stage = stage_before(plan)
        if stage and not stage.folder.exists():
            raise UserError(f"a dry run exports nothing; do it first: python {' '.join(stage.command[1:])}")
        plan = with_exported_model(plan)
    except UserError as error:
        print(f"{plan.run_name}: {error}", file=sys.stderr)
        return 2
    print(show.settings_by_origin(plan), file=sys.stderr)
    if plan.flags["PREFLIGHT"]:
        from grpo_launchpad.launch.resume import hindrance
        from grpo_launchpad.launch.sizing import can_be_sized, size
        from grpo_launchpad.launch.start import complaint, problems_of
        from grpo_launchpad.preflight.check import check_machine

        made_later = frozenset({str(plan.run.data)} if plan.flags["SMOKE"] else ())
        config, problems = problems_of(plan, made_later=made_later)
        if can_be_sized(config, problems):
            sizing = size(plan, config)
            print(sizing.lines, file=sys.stderr)
            if plan.flags["CHECK"] and sizing.tables:
                print(sizing.tables, file=sys.stderr)
            problems = [*problems, *sizing.problems]
        if not problems:
            devices, disk = check_machine(config, plan.device, plan.run.path)
            if devices:  # this is not the machine that will train, so that its disk does not matter either
                for problem in (*devices, *disk):
                    print(f"note: on this machine: {problem.what}", file=sys.stderr)
            else:
                problems = disk
        if problems:
            print(complaint(plan, problems), file=sys.stderr)
            return 2
        if text := hindrance(plan, config):
            print(f"{plan.run_name}: {text}", file=sys.stderr)
            return 2
        print("preflight: ok", file=sys.stderr)
    if not plan.flags["CHECK"]:
        print(plan.command(), end="")
    return 0


def check_as_json(plan) -> int:
    """Print what CHECK=1 finds as one JSON object, without the machine's own lacks; return the exit code."""
    from grpo_launchpad.launch.sizing import can_be_sized, size
    from grpo_launchpad.launch.start import problems_of

    made_later = frozenset({str(plan.run.data)} if plan.flags["SMOKE"] else ())
    config, problems = problems_of(plan, made_later=made_later)
    sized = {"memory": None, "time": None, "no_estimate": None}
    if can_be_sized(config, problems):
        sizing = size(plan, config)
        sized, problems = sizing.as_object(), [*problems, *sizing.problems]
    found = [
        {"where": plan.place_of(each.where), "what": each.what, "fix": plan.fix_in_place(each.fix)} for each in problems
    ]
    print(json.dumps({"launcher": plan.launcher.stem, "problems": found, **sized}, indent=2))
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
