"""The command line that every data set shares."""

import argparse
import errno
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.pipeline.data_set import HALF_A_PAIR, REASONS, DataError, DataSet
from data_prep.pipeline.engines import ENGINES
from data_prep.pipeline.findings import Policy
from data_prep.pipeline.prepare import Request, prepare
from data_prep.pipeline.shard import Form
from data_prep.pipeline.sources import ROOT

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# These change where and how fast, not what is written.
NOT_IN_FINGERPRINT = ("out", "engine", "force", "source", "split")


def main(data_set: DataSet, description: str, argv: Sequence[str] | None = None) -> None:
    """Prepare a data set as the command line asks.

    Exits with 2 if the data or the options are wrong or the disk is full; the text on standard error says where and
    what to do.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = shared_options(data_set, description)
    run(parser, argv, parser.parse_args(argv), data_set)


def default_folder(data_set: DataSet) -> Path:
    """Return where the launchers look for a data set, whatever the current folder is."""
    return Path(os.environ.get("DATA_DIR") or ROOT / "data").expanduser() / data_set.name


def shared_options(data_set: DataSet, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all data sets have."""
    parser = argparse.ArgumentParser(
        prog=f"data_prep/{data_set.name}.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [split.name for split in data_set.splits]
    if data_set.generate is None:
        parser.add_argument(
            "--source",
            help="a folder with a file for each split, one file (with --split), or a hub's owner/name "
            f"(default: data/raw/{data_set.name}, the Hugging Face hub, ModelScope)",
        )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the parquet files (default: $DATA_DIR/<name>, else data/<name> of the project)",
    )
    parser.add_argument("--split", choices=names, help=f"prepare only this one (default: {', '.join(names)})")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N records of each split")
    if data_set.templates:
        parser.add_argument(
            "--template",
            choices=data_set.templates,
            default=data_set.templates[0],
            help=f"the form of the answer that the prompt asks for (default: {data_set.templates[0]})",
        )
    parser.add_argument("--system-prompt", type=utf8, metavar="TEXT", help="instead of the template's; '' for none")
    parser.add_argument(
        "--tokenizer", type=utf8, metavar="MODEL", help="measure prompts in its tokens, through its chat template"
    )
    parser.add_argument(
        "--max-prompt-tokens", type=positive, metavar="N", help="report longer prompts; --drop long leaves them out"
    )
    parser.add_argument("--seed", type=int, default=0, help="for what is chosen at random (default: 0)")
    for option, effect in (("--drop", "leave out rows with these faults"), ("--keep", "report them and keep the rows")):
        parser.add_argument(
            option, type=reasons, default=(), metavar="REASON,...", help=f"{effect}: {', '.join(REASONS)}"
        )
    parser.add_argument("--engine", choices=ENGINES, default="local", help="ray: side by side, on a Ray cluster")
    parser.add_argument("--force", action="store_true", help="prepare again what is up to date; replace foreign files")
    return parser


def run(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    args: argparse.Namespace,
    data_set: DataSet,
    holdout: int = 0,
) -> None:
    """Prepare what the arguments, as given and parsed, ask for, and print the data card."""
    if args.max_prompt_tokens and not args.tokenizer:
        parser.error("--max-prompt-tokens counts tokens: name a --tokenizer, such as Qwen/Qwen2.5-0.5B-Instruct")
    if both := set(args.drop) & set(args.keep):
        parser.error(f"--drop and --keep both name {', '.join(sorted(both))}")
    out, source = args.out or default_folder(data_set), getattr(args, "source", None)
    if args.engine == "ray":  # its workers run in folders of their own
        out, source = out.absolute(), str(Path(source).absolute()) if source and os.path.exists(source) else source
    request = Request(
        data_set=data_set,
        out=out,
        source=source,
        splits=(args.split,) if args.split else tuple(split.name for split in data_set.splits),
        limit=args.limit,
        holdout=holdout,
        seed=args.seed,
        form=Form(getattr(args, "template", None), args.system_prompt, args.tokenizer, args.max_prompt_tokens),
        policy=Policy.of(data_set, args.drop, args.keep),
        engine=args.engine,
        force=args.force,
        command=shlex.join(["python", parser.prog, *argv]),
        options={name: value for name, value in vars(args).items() if name not in NOT_IN_FINGERPRINT},
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what is half done is removed
    try:
        card = prepare(request)
    except KeyboardInterrupt:
        parser.exit(128 + signal.SIGINT, f"{parser.prog}: interrupted; run it again to finish {request.out}\n")
    except DataError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except OSError as error:
        is_full = error.errno in FULL or any(f"[errno {number}]" in str(error) for number in FULL)  # pyarrow's words
        fix = "Free some space, or choose" if is_full else "Choose"
        file = str(error.filename2 or error.filename or request.out)  # filename2: the new name of a file
        what = f"{error.strerror or error}{f' ({file})' if file != str(request.out) else ''}"
        parser.exit(2, f"{parser.prog}: cannot write to {request.out}: {what}. {fix} another folder with --out.\n")
    encoding = sys.stdout.encoding or "utf-8"  # a terminal may know only ASCII
    try:
        print(card.encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:  # `| head` has read enough; without this, Python complains when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def positive(text: str) -> int:
    """Parse a whole number above zero, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def utf8(text: str) -> str:
    """Parse a text that can be written as UTF-8, for argparse."""
    if HALF_A_PAIR.search(text):
        raise argparse.ArgumentTypeError(f"not valid UTF-8: {ascii(text)}. Rename the file, or correct the text")
    return text


def reasons(text: str) -> tuple[str, ...]:
    """Parse a list of reasons, for argparse."""
    chosen = tuple(text.split(","))
    if unknown := [reason for reason in chosen if reason not in REASONS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is no reason; there are {', '.join(REASONS)}")
    return chosen
