"""Score a file, or test the reward on a data set's own answers.

    python -m reward_score --data rollouts.jsonl --data-source openai/gsm8k --rewards correctness:1.0,format:0.2
    python -m reward_score --self-test data/gsm8k/train.parquet

A file is JSON Lines or parquet: verl's data with a column of responses, a rollout dump (input, output, gts), or
labelled answers (pred, gold, label). Rows with these three may have two columns more: kind, where "answer" means that
pred is a bare answer, to be written in the task's form; soft, where true means that the row counts in no verdict.
Exit code: 0, 1 if the self-test failed, 2 if the command or a file cannot be used.
"""

import argparse
import json
import os
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from reward_score.composition import Composition, Sample, read_value
from reward_score.configuration import check_configuration, options_of
from reward_score.rows import (
    Columns,
    RowsError,
    count_rows,
    data_source_of,
    is_labelled_answer,
    label_of,
    read_rows,
    responses_of,
    truth_of,
)
from reward_score.self_test import Row, as_response, self_test, shown

VERDICTS = {
    (True, True): "true positive",
    (False, False): "true negative",
    (False, True): "false positive",
    (True, False): "false negative",
}
DISAGREEMENTS = ("false positive", "false negative")


@dataclass
class Tally:
    """Sums over the scored responses."""

    scored: int = 0
    sums: Counter = field(default_factory=Counter)
    verdicts: Counter = field(default_factory=Counter)
    soft: int = 0
    disagreements: list[tuple[int, str, str, str]] = field(default_factory=list)  # row, verdict, gold, answer


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.self_test is not None:
        for option in ("out", "response_column", "label_column"):
            if getattr(args, option) is not None:
                parser.error(f"--{option.replace('_', '-')} has no effect on --self-test, which reads no responses")
    try:
        options = _options(args.option)
        code, text = (_score_file if args.self_test is None else _self_test)(args, options)
    except (RowsError, ValueError) as error:  # ValueError: a wrong composition, option or data source
        _say(f"error: {error}", sys.stderr)
        return 2
    _say(text, sys.stdout)
    return code


def _say(text: str, stream: TextIO | None) -> None:
    """Print to a stream that may be closed, or lose its reader (``| head``): then there is nobody to tell."""
    if stream is None:
        return
    stream.reconfigure(errors="replace")  # a model may write half a surrogate pair
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # the interpreter flushes once more when it ends


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reward_score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=_path, metavar="FILE", help="score the responses in FILE")
    what.add_argument("--self-test", type=_path, metavar="FILE", help="test the reward on the ground truths in FILE")
    parser.add_argument("--rewards", help="the composition, such as correctness:1.0,format:0.2, or a .yaml file")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the task's scorer; repeatable"
    )
    parser.add_argument("--data-source", help="of rows that have no column data_source")
    parser.add_argument("--response-column", help="default: response, output, responses, completion or pred")
    parser.add_argument("--truth-column", help="default: reward_model, ground_truth, gts or gold")
    parser.add_argument("--label-column", help="1 for right answers, 0 for wrong ones (default: label, if it exists)")
    parser.add_argument("--out", type=_path, metavar="FILE", help="write each row with its rewards as JSON Lines")
    parser.add_argument(
        "--show", type=_count_shown, default=10, metavar="N", help="disagreements or failures shown (10)"
    )
    return parser


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty text names no file")
    return Path(text)


def _count_shown(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; write a whole number, 0 or more")
    return number


def _options(given: list[str]) -> dict[str, object]:
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"--option {text}: write NAME=VALUE, such as method=strict")
        options[name] = read_value(value)
    return options


def _score_file(args: argparse.Namespace, options: dict[str, object]) -> tuple[int, str]:
    """Return the exit code and what to print."""
    columns = Columns(args.data_source, args.response_column, args.truth_column, args.label_column)
    composition = Composition.parse(args.rewards)
    if args.out is not None and args.out.resolve() == args.data.resolve():
        raise RowsError(f"--out {args.out}", "is the file that is read", "name another file")
    tally = Tally()
    checked: set[str] = set()
    with _progress(args.data) as tick, _writer(args.out) as write:
        for number, row in read_rows(args.data):
            place = f"{args.data}, row {number}"
            source = data_source_of(row, place, columns)
            truth = truth_of(row, place, columns, source)
            label = label_of(row, place, columns)
            own = options_of(source, options)
            if source not in checked:
                check_configuration([source], composition, own)
                checked.add(source)
            results = []
            for answer in responses_of(row, place, columns):
                bare = is_labelled_answer(row) and row.get("kind") == "answer" and answer and not answer.isspace()
                response = _in_the_tasks_form(source, answer, place) if bare else answer
                results.append(composition.score(Sample(source, response, truth, own)))
                _count(tally, number, row, results[-1], label, truth, answer)
            write(row | {"rewards": results[0] if len(results) == 1 else results})
            tick()
    if not tally.scored:
        raise RowsError(args.data, "has no rows", "give a file with rows")
    return 0, _report(args.data, tally, args.rewards, args.show)


def _in_the_tasks_form(source: str, answer: str, place: str) -> str:
    try:
        return as_response(source, answer)
    except ValueError as error:
        what = f"the answer {shown(answer)} cannot be written as a response of {source}: {error}"
        fix = "correct --data-source; or write whole responses, and leave the column 'kind' out"
        raise RowsError(f"{place}, of kind 'answer'", what, fix) from error


def _count(tally: Tally, number: int, row: dict, result: dict, label: bool | None, truth: object, answer: str | None):
    tally.scored += 1
    tally.sums.update(result)
    if label is None:
        return
    if is_labelled_answer(row) and row.get("soft") is True:
        tally.soft += 1
        return
    verdict = VERDICTS[label, result["acc"] == 1.0]
    tally.verdicts[verdict] += 1
    if verdict in DISAGREEMENTS:
        tally.disagreements.append((number, verdict, shown(truth), shown(answer)))


def _report(path: Path, tally: Tally, rewards: str | None, show: int) -> str:
    means = [(name, f"{total / tally.scored:.4f}") for name, total in tally.sums.items() if name != "scorer_error"]
    width = max(len(name) for name, _ in means)
    errors = round(tally.sums["scorer_error"])
    lines = [
        f"{path}: {tally.scored:,} responses scored with {rewards or 'the score of their task'}",
        "",
        f"  {'component':{width}}  {'mean':>10}",
        *(f"  {name:{width}}  {value:>10}" for name, value in means),
        "",
        f"  scorer errors: {_share(errors, tally.scored)}",
    ]
    if labelled := tally.verdicts.total():
        lines += [
            "",
            f"  labels of {labelled:,} responses" + (f", {tally.soft:,} soft ones left out" * bool(tally.soft)),
        ]
        right = tally.verdicts["true positive"] + tally.verdicts["false negative"]
        for label, verdicts, count in (
            ("right", ("true positive", "false negative"), right),
            ("wrong", ("false positive", "true negative"), labelled - right),
        ):
            lines += [f"    {name:14} {_share(tally.verdicts[name], count, f' labelled {label}')}" for name in verdicts]
    if tally.disagreements:
        lines += ["", f"  disagreements: {min(show, len(tally.disagreements))} of {len(tally.disagreements):,}"]
        lines += [
            f"    row {number:<7} {verdict}  gold {gold}  answer {answer}"
            for number, verdict, gold, answer in tally.disagreements[:show]
        ]
    return "\n".join(lines)


def _self_test(args: argparse.Namespace, options: dict[str, object]) -> tuple[int, str]:
    """Return the exit code and what to print."""
    path = args.self_test
    columns = Columns(args.data_source, None, args.truth_column, None)
    rows = []
    for number, row in read_rows(path):
        place = f"{path}, row {number}"
        source = data_source_of(row, place, columns)
        rows.append(Row(number, source, truth_of(row, place, columns, source)))
    if not rows:
        raise RowsError(path, "has no rows", "give a file with rows")
    with _progress(path) as tick:
        result = self_test(rows, args.rewards, options, tick)
    lines = [
        f"{path}: {count:,} rows of {source} are not tested: {reason}"
        for (source, reason), count in result.untested.items()
    ]
    if not result.failures:
        lines.append(
            f"{path}: self-test passed, {result.tested:,} rows: their own golds are right, those of others are wrong"
        )
        return 0, "\n".join(lines)
    share = _share(len(result.failures), result.tested)
    lines.append(f"{path}: self-test failed in {share} rows; rows are counted from 1")
    lines += [f"  {failure}" for failure in result.failures[: args.show]]
    if len(result.failures) > args.show:
        lines.append(f"  and {len(result.failures) - args.show:,} more; --show {len(result.failures)} lists them all")
    return 1, "\n".join(lines)


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[], object]]:
    """Yield a function to call once a row; on a terminal it moves a bar, if rich is installed."""
    if sys.stderr is None or not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    parts = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(path.name, total=count_rows(path))
        yield lambda: progress.advance(task)


@contextmanager
def _writer(out: Path | None) -> Iterator[Callable[[dict], object]]:
    """Yield a function that writes a row; the file appears when all rows are written."""
    if out is None:
        yield lambda row: None
        return
    _check_out(out)
    try:
        handle, draft = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise RowsError(f"--out {out}", f"cannot be written ({error.strerror})", "choose another folder") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            yield lambda row: print(json.dumps(row, ensure_ascii=False, default=_as_json), file=file)
        os.chmod(draft, 0o644)
        os.replace(draft, out)
    finally:
        Path(draft).unlink(missing_ok=True)


def _check_out(out: Path) -> None:
    """Refuse what is no file of its own: a rename would put the rows in place of a device or a link."""
    try:
        mode = os.lstat(out).st_mode
    except OSError:  # there is nothing yet, or the folder cannot be used, which shows when the file is opened
        return
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link", stat.S_IFCHR: "a device"}
        what = f"is {kinds.get(stat.S_IFMT(mode), 'no regular file')}"
        raise RowsError(f"--out {out}", what, "name a file that does not exist yet, or a regular one to replace")


def _as_json(value: object) -> object:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)  # images are not repeated


def _share(count: int, total: int, of: str = "") -> str:
    percent = f"{count / total:.2%}" if total else "-"
    return f"{count:,} of {total:,}{of} ({percent})"


if __name__ == "__main__":
    sys.exit(main())
