"""Command line: grpo-launchpad watch RUN [--serve]"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live

from grpo_launchpad.launch.plan import ROOT
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.step_line import step_line

from .screen import render
from .state import Status, WatchedRun

SECONDS = 1.0  # between two looks
PLAIN_WIDTH = 80


def main(arguments: list[str] | None = None) -> int:
    """Show a run until it is over; return 0, 1 if it did not end well, 2 if there is no such run."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad watch",
        description="Show what a run is doing, from its folder alone: on this machine or through a shared folder.",
    )
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its name under runs/")
    parser.add_argument("--serve", action="store_true", help="serve its report as a page that keeps itself up to date")
    parser.add_argument("--port", type=int, default=0, help="of the page, on this machine only; by default a free one")
    given = parser.parse_args(arguments)
    folder = find_run(given.run)
    if folder is None:
        print(f"error: there is no run {given.run}: neither a folder nor a name under {ROOT / 'runs'}", file=sys.stderr)
        return 2
    if given.serve:
        from .serve import serve

        return serve(folder, given.port)
    watched = WatchedRun(RunFolder(folder))
    console = Console(highlight=False)
    plain = not console.is_terminal or console.is_dumb_terminal or "NO_COLOR" in os.environ
    try:
        (_show_lines if plain else _show_screen)(watched, console)
    except KeyboardInterrupt:
        return 0
    return 0 if watched.status() in (Status.FINISHED, Status.NOT_STARTED) else 1


def find_run(name: str) -> Path | None:
    """Return the folder of a run that is given by its path or by its name."""
    return next((path for path in (Path(name), ROOT / "runs" / name) if path.is_dir()), None)


def _show_screen(watched: WatchedRun, console: Console) -> None:
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            watched.update()
            live.update(render(watched, console), refresh=True)
            if watched.status().is_over:
                return
            time.sleep(SECONDS)


def _show_lines(watched: WatchedRun, console: Console) -> None:
    """Show the screen once, then a line for each change, as a log can keep it."""
    watched.update()
    wide = Console(file=sys.stdout, width=PLAIN_WIDTH, no_color=True, highlight=False, force_terminal=False)
    wide.print(render(watched, console))
    status, doing, hang = watched.status(), "", False
    while not status.is_over:
        time.sleep(SECONDS)
        steps, findings = watched.update()
        for step in steps:
            print(step_line(step.step, watched.total, step.metrics, watched.pace), flush=True)
        for finding in findings:
            print(f"! {finding}", flush=True)
        if (found := watched.hang()) and not hang:
            print(f"! {found}", flush=True)
        hang = found is not None
        status = watched.status()
        phase = watched.doing().split(" for ")[0]
        if status is Status.STARTING and phase != doing:
            print(watched.doing(), flush=True)
        doing = phase
        if status.is_over:
            print(watched.how_it_ended(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
