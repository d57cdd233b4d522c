"""Compare answer scorers side by side.

    python -m benchmarks.reward_score agreement --data FOLDER
    python -m benchmarks.reward_score speed --data FOLDER --peers 'reward_score.math,math-verify'

README.md in this folder says how to install the peers and what the columns mean.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.reward_score import agreement, hostile, pool, speed, step
from benchmarks.reward_score.isolation import CALLERS
from benchmarks.reward_score.peers import PEERS

VERSIONS = ("verl", "math-verify", "latex2sympy2_extended", "mathruler", "sympy")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward_score", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["agreement", "speed", "hostile", "pool", "step"])
    parser.add_argument("--peers", help="scorers, separated by commas (default: all that are installed)")
    parser.add_argument("--data", type=Path, help="folder of the labelled sets; hostile needs none")
    parser.add_argument("--limit", type=int, help="rows per set; cases (hostile); prompts (step)")
    parser.add_argument(
        "--callers",
        default="main,thread",
        help=f"hostile: called from which of {', '.join(CALLERS)} (default: main,thread)",
    )
    parser.add_argument("--json", type=Path, help="write the raw numbers to this file, too")
    parser.add_argument("--understand-r1-zero", type=Path, metavar="FOLDER", help="a checkout of that repository")
    args = parser.parse_args()
    # Killed children leave semaphores to multiprocessing's helper, which would report each one at the end.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    if args.what != "hostile" and args.data is None:
        parser.error("--data FOLDER: README.md says what is in it and where it is published")
    if args.data and not (args.data / "grading").is_dir():
        parser.error(f"--data {args.data}: no labelled sets (grading/*.jsonl) there")
    if args.limit is not None and args.limit < 1:
        parser.error(f"--limit {args.limit}: must be at least 1")
    callers = tuple(args.callers.split(","))
    if unknown := set(callers) - set(CALLERS):
        parser.error(f"--callers: unknown {', '.join(sorted(unknown))}; known: {', '.join(CALLERS)}")
    if args.understand_r1_zero:
        if not (args.understand_r1_zero / "understand_r1_zero" / "math_grader.py").is_file():
            parser.error(f"--understand-r1-zero {args.understand_r1_zero}: no understand_r1_zero/math_grader.py there")
        sys.path.insert(0, str(args.understand_r1_zero.resolve()))  # child processes get the path, too
    names = chosen_peers(parser, args.peers, math_only=args.what in ("pool", "step"))

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # on the way out the child processes are killed, too
    data = args.data and args.data.resolve()
    measure, tables = {
        "agreement": (
            lambda name: agreement.run(name, data, args.limit),
            lambda result: agreement.tables(result, data, args.limit),
        ),
        "speed": (lambda name: speed.run(name, data, args.limit), speed.tables),
        "hostile": (lambda name: hostile.run(name, callers, args.limit), hostile.tables),
        "pool": (lambda name: pool.run(name, data), pool.tables),
        "step": (lambda name: step.run(name, data, args.limit or step.PROMPTS), step.tables),
    }[args.what]
    result = {}
    for name in [step.NO_SCORER, *names] if args.what == "step" else names:
        started = time.monotonic()
        result[name] = measure(name)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        if args.json:
            args.json.write_text(json.dumps({"environment": environment(), args.what: result}, indent=1) + "\n")
    print(f"{environment()}\n\n{tables(result)}")


def chosen_peers(parser: argparse.ArgumentParser, wanted: str | None, *, math_only: bool) -> list[str]:
    """Return the scorers to run, and say on stderr which ones are left out because they are not installed."""
    names = [name.strip() for name in wanted.split(",")] if wanted else list(PEERS)
    if unknown := [name for name in names if name not in PEERS]:
        parser.error(f"--peers: unknown {', '.join(unknown)}; known: {', '.join(PEERS)}")
    if math_only:
        names = [name for name in names if PEERS[name].math]
    for name in names:
        if missing := PEERS[name].missing():
            print(f"{name}: left out, {', '.join(missing)} not installed", file=sys.stderr)
    installed = [name for name in names if not PEERS[name].missing()]
    if not installed:
        parser.error("none of the scorers is installed, or none of them reads MATH answers")
    return installed


def environment() -> str:
    """Return Python, the processor and the versions of the peers, in one line."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    versions = []
    for package in VERSIONS:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return f"Python {platform.python_version()}; {model.partition(':')[2].strip()}; {', '.join(versions)}"


if __name__ == "__main__":
    main()
