"""What a run shows on the terminal: its log goes to a file, time-stamped, and one line a step goes to the screen.

    trainer 2>&1 | python -m grpo_launchpad.console LOG

``VERBOSE=1`` shows the whole log instead.
"""

import argparse
import os
import re
import signal
import sys
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import TextIO

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
STEP = re.compile(r"\bstep:(\d{1,18}) - (.+)")
METRIC = re.compile(r"(\S+?):(?:np\.\w+\()?(-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf))")
TOTAL = re.compile(r"Training Progress:.*?(\d+)/(\d+) \[")
MILESTONES = {
    "Started a local Ray instance": "Ray is up",
    "actor and ref model engine initialized": "the trainer has the model",
    "checkpoint engine manager initialized": "the rollout engine is up",
    "Training from scratch": "starting at step 1",
    "Resuming from ": "resuming from a checkpoint",
}
TAIL_LINES = 25


class Console:
    """Turns the lines of verl's log into the few that a person wants to see."""

    def __init__(self, screen: TextIO):
        self.screen = screen
        self.open = True
        self.started = datetime.now()
        self.total: str | None = None
        self.seen: set[str] = set()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)

    def say(self, text: str) -> None:
        elapsed = (datetime.now() - self.started).total_seconds()
        self.print(f"[{elapsed:6.1f} s] {text}")

    def print(self, text: str) -> None:
        """Show a line. A screen that was closed, as by `launcher | head`, must not stop a training."""
        if self.open:
            try:
                print(text, file=self.screen, flush=True)
            except BrokenPipeError:
                self.open = False
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.screen.fileno())

    def show(self, line: str) -> None:
        """Look at one line of the log, without colour codes."""
        self.tail.append(line)
        for text, meaning in MILESTONES.items():
            if text in line and meaning not in self.seen:
                self.seen.add(meaning)
                self.say(meaning)
        progress = TOTAL.search(line)
        if progress:
            self.total = progress[2]
        step = STEP.search(line)
        if step:
            self.say(self.step_line(int(step[1]), dict(METRIC.findall(step[2]))))

    def step_line(self, step: int, metrics: dict[str, str]) -> str:
        """Return the line of one step: what was learnt, and how long it took."""
        parts = [f"step {step}/{self.total}" if self.total else f"step {step}"]
        accuracies = [value for key, value in metrics.items() if re.fullmatch(r"val-core/.*/acc/mean@\d+", key)]
        for label, key, form in (
            ("reward", "critic/rewards/mean", "{:.3f}"),
            ("response", "response_length/mean", "{:.0f} tokens"),
            ("rollout-trainer difference", "training/rollout_probs_diff_mean", "{:.4f}"),
        ):
            if key in metrics:
                parts.append(f"{label} {form.format(float(metrics[key]))}")
        if accuracies:
            parts.append(f"held-out accuracy {float(accuracies[0]):.3f}")
        if "timing_s/step" in metrics:
            parts.append(f"{float(metrics['timing_s/step']):.1f} s")
        return "  ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="where the whole log goes")
    path = parser.parse_args().log
    # On Ctrl-C the trainer ends by itself; what it says while ending must not be lost.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    verbose = os.environ.get("VERBOSE") == "1"
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character must not stop a training
    console = Console(sys.stdout)
    finished = False
    with path.open("w", encoding="utf-8") as log:
        for raw in sys.stdin.buffer:
            # A progress bar redraws its line with carriage returns; each redraw is a line here.
            for part in raw.decode("utf-8", errors="replace").replace("\r", "\n").splitlines():
                line = ANSI.sub("", part)
                log.write(f"{datetime.now().isoformat(timespec='milliseconds')} {line}\n")
                if verbose:
                    console.print(part)
                else:
                    console.show(line)
                finished |= "Final validation metrics" in line
            log.flush()
    if not finished and not verbose:
        console.print("\n    ".join([f"the last {len(console.tail)} lines of {path}:", *console.tail]))


if __name__ == "__main__":
    main()
