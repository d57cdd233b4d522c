"""Measure the data preparation: side by side with verl's own scripts, and its memory over the number of rows.

    python -m benchmarks.data_prep peers --verl-checkout FOLDER --data FOLDER
    python -m benchmarks.data_prep memory --rows 10000,100000,1000000 --plot memory.svg

Run it from the repository root. ``peers`` runs the scripts in FOLDER/examples/data_preprocess of a checkout of
https://github.com/verl-project/verl (``git clone --depth 1 --branch v0.9.0``) as they are, with the verl and datasets
of this environment and without a network. Temporary files go to $TMPDIR: 3 GB for ten million rows, and the output.
"""

import argparse
import platform
import signal
import sys
from importlib import metadata
from pathlib import Path

from benchmarks.data_prep import memory, peers
from benchmarks.data_prep.child import Failure

VERSIONS = ("verl", "datasets", "pyarrow", "ray")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_prep", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)

    one = commands.add_parser("peers", help="time and memory next to verl's own scripts")
    one.add_argument("--verl-checkout", type=Path, required=True, metavar="FOLDER", help="a checkout of verl")
    one.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="has gsm8k/ and math/")
    one.add_argument("--runs", type=positive, default=5, help="measured runs of each tool (default: 5)")

    one = commands.add_parser("memory", help="time and memory over the number of rows, of synthetic GSM8K")
    one.add_argument("--rows", type=row_counts, default=memory.ROWS, help="comma-separated (default: 10^4 to 10^7)")
    one.add_argument("--engine", choices=["local", "ray"], help="handed to data_prep/gsm8k.py")
    one.add_argument("--plot", type=Path, metavar="FILE", help="draw the peak memory into this SVG")

    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # on the way out the child is killed, too
    if args.what == "memory":
        results = [memory.run(rows, args.engine) for rows in args.rows]
        text = memory.table(results)
        if args.plot:
            memory.plot(results, args.plot)
    else:
        if problem := peers.missing(args.verl_checkout, args.data):
            parser.error(problem)
        try:
            text = peers.table(peers.run(args.verl_checkout.resolve(), args.data.resolve(), args.runs))
        except Failure as failure:
            parser.exit(1, f"{parser.prog}: {failure}\n")
    print(f"{environment()}\n\n{text}")


def positive(text: str) -> int:
    """Parse a whole number above zero, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def row_counts(text: str) -> list[int]:
    """Parse comma-separated whole numbers above zero, for argparse."""
    return [positive(part) for part in text.split(",")]


def environment() -> str:
    """Return Python, the processor and the versions of the libraries, in one line."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    versions = [f"{package} {metadata.version(package)}" for package in VERSIONS]
    return f"Python {platform.python_version()}; {model.partition(':')[2].strip()}; {', '.join(versions)}"


if __name__ == "__main__":
    main()
