"""What the command lines of evaluate, predict, chat and serve share."""

import argparse
import math

MODEL = "MODEL|RUN[:STEP]"
MODEL_HELP = "a folder, owner/name, or runs/<name>"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which model answers."""
    parser.add_argument("model", metavar=MODEL, help=MODEL_HELP)
    add_tensor_parallel(parser)


def add_tensor_parallel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tensor-parallel", type=count, default=1, metavar="N", help="GPUs that share the model")


def count(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def temperature(text: str) -> float:
    """Return a temperature, for argparse: 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no temperature; write 0 or more, such as 0.6")
    return value
