"""Command line: grpo-launchpad report runs/<name> [runs/<other> ...]"""

import argparse
import json
import os
import sys
from pathlib import Path

from grpo_launchpad.runs.folder import RunFolder, write_whole
from grpo_launchpad.runs.pace import duration

from . import compare
from .figures import learning_curve
from .page import render
from .run_folder import RunFolderError, read_run
from .summary import summarize

COLOURS = {"completed": "32", "failed": "31", "interrupted": "33"}


def main(arguments: list[str] | None = None) -> int:
    """Write the report and return the exit code: 0, 1 when it cannot be written, 2 when the folder is no run."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad report",
        description="Write summary.json, report.html and learning_curve.svg into a run folder; of several runs, write"
        " comparison.html beside the first.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="runs/<name>", help="a folder that a launcher wrote")
    folders = parser.parse_args(arguments).folders
    return _report(folders[0]) if len(folders) == 1 else _compare(folders)


def _compare(folders: list[Path]) -> int:
    target = compare.default_path(folders)
    try:
        write_whole(target, compare.render([read_run(folder) for folder in folders]))
    except (RunFolderError, compare.TooManyRunsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}. Check the folder's permissions and space.", file=sys.stderr)
        return 1
    print(target)
    return 0


def _report(folder: Path) -> int:
    files = RunFolder(folder)
    try:
        run = read_run(folder)
        summary = summarize(run)
        page = render(run, summary)
        curve = learning_curve(run)
        if curve:
            write_whole(files.learning_curve, curve)
        write_whole(files.summary, json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        write_whole(files.report, page.html)
    except RunFolderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}. Check the folder's permissions and space.", file=sys.stderr)
        return 1
    print(_terminal_summary(summary, files.report))
    return 0


def _terminal_summary(summary: dict, report: Path) -> str:
    def accuracy(value: float | None) -> str:
        return "not measured" if value is None else f"{value:.1%}"

    status = summary["status"] or "status unknown"
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and status in COLOURS:
        status = f"\033[{COLOURS[status]}m{status}\033[0m"
    wall = "not measured" if summary["wall_seconds"] is None else duration(summary["wall_seconds"])
    return "\n".join(
        [
            f"{summary['name'] or report.parent.name}: {status}",
            f"  accuracy   {accuracy(summary['accuracy_before'])} -> {accuracy(summary['accuracy_after'])}",
            f"  steps      {summary['steps']}",
            f"  wall time  {wall}",
            f"  report     {report}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
