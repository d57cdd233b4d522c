"""What a run shows on the terminal: its log goes to a file, time-stamped, and one line a step goes to the screen.

    trainer 2>&1 | python -m grpo_launchpad.console RUN ATTEMPT --trainer PID

It says what takes long and how long that usually takes, what the health rules find, and what a hanging step waits
for. ``VERBOSE=1`` shows the whole log instead. With ``END_IF_HUNG`` it ends the trainer of a hanging step, and exits
with 75.
"""

import argparse
import contextlib
import os
import re
import select
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TextIO

from grpo_launchpad.health.history import Facts, facts_of
from grpo_launchpad.health.monitor import OWN_LINE, Finding, Monitor
from grpo_launchpad.health.rules import HANG
from grpo_launchpad.health.waits import processes_under, what_they_wait_for
from grpo_launchpad.health.watchdog import MAY_BE_RESTARTED, Verdict, Watchdog
from grpo_launchpad.runs import attempts
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.runs.metrics import is_training, merge, metric_records
from grpo_launchpad.runs.pace import Pace, duration, remaining_time
from grpo_launchpad.runs.settings import Settings, settings_of
from grpo_launchpad.runs.step_line import step_line

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
STEP = re.compile(r"\bstep:(\d{1,18}) - (.+)")
METRIC = re.compile(r"(\S+?):(?:np\.\w+\()?(-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf))")
TOTAL = re.compile(r"(?:Training Progress:.*?\d+/|Total training steps: )(\d{1,18})\b")
VALIDATING, FIRST_STEP = "validating the model as it is", "the first step"
# What the log says -> (what is done then, what begins)
MILESTONES = {
    "Started a local Ray instance": ("Ray is up", "loading the data"),
    "Connected to Ray cluster": ("Ray is up", "loading the data"),
    "train and validate dataloader initialized": ("the data are loaded", "loading the model into the trainer"),
    "actor and ref model engine initialized": ("the trainer has the model", "starting the rollout engine"),
    "checkpoint engine manager initialized": ("the rollout engine is up", "looking for a checkpoint"),
    "Training from scratch": ("starting at step 1", VALIDATING),
    "Resuming from ": ("resuming from a checkpoint", VALIDATING),
    "Initial validation metrics": ("validated", FIRST_STEP),
}
FIRST_PHASE = "starting Ray"
START_PHASES = {FIRST_PHASE, *(begins for _, begins in MILESTONES.values())}
LAST_PHASE = "ending the run"
TAIL_LINES = 25
SILENT_SECONDS = 10.0  # after so long without a line, one says what is going on ...
PATIENT_SECONDS = 60.0  # ... and after a minute of the same step, one a minute will do
TICK_SECONDS = 0.5
GRACE_SECONDS = 20.0  # between asking a hanging trainer to end and ending it


class Console:
    """Turns the lines of verl's log into the few that a person wants to see.

    Args:
        screen: where they go; on a terminal, what is going on stands below them and is kept up to date.
        settings: of the run.
        facts: about the run, for the health rules; see ``Monitor``.
        usual: phase -> seconds that it took the last time.
        earlier: step -> metrics of earlier attempts at the run.
        end_at: see ``Watchdog``.
        launcher: the process under which all of the run's processes are.
        note: writes a line into the log.
        record: takes what is to be kept of the attempt; see ``runs.attempts``.
        now: a clock, in seconds.
        whole_log: whether the screen gets the log as it is; then nothing is added but what is wrong.
    """

    def __init__(
        self,
        screen: TextIO,
        settings: Settings = Settings(),  # noqa: B008  it is frozen
        facts: Facts | Callable[[], Facts] = Facts(),  # noqa: B008
        usual: dict[str, float] | None = None,
        earlier: dict[int, dict[str, float]] | None = None,
        end_at: float | None = None,
        launcher: int | None = None,
        note: Callable[[str], None] = lambda text: None,
        record: Callable[[dict], None] = lambda facts: None,
        now: Callable[[], float] = time.monotonic,
        whole_log: bool = False,
    ):
        self.screen = screen
        self.whole_log = whole_log
        self.live = screen.isatty() and os.environ.get("TERM") != "dumb" and not whole_log
        self.open = True
        self.now = now
        self.started = self.began = self.spoke = now()
        self.note, self.record, self.launcher = note, record, launcher
        self.total = settings.total_steps
        self.usual, self.earlier = usual or {}, earlier or {}
        self.phase = FIRST_PHASE
        self.seen: set[str] = set()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.monitor, self.pace = Monitor(facts), Pace(settings)
        known = FIRST_STEP in self.usual  # an earlier attempt came as far as that
        start = sum(self.usual.get(phase, 0.0) for phase in START_PHASES) if known else None
        self.watchdog = Watchdog(self.pace, end_at, self.started, start)
        self.keep_phase()

    def say(self, text: str, *, in_any_case: bool = False) -> None:
        if in_any_case or not self.whole_log:
            self.print(f"[{self.now() - self.started:6.1f} s] {text}")

    def print(self, text: str) -> None:
        """Show a line. A screen that was closed, as by `launcher | head`, must not stop a training."""
        self.spoke = self.now()
        self.write(("\r\x1b[K" if self.live else "") + text + "\n")

    def write(self, text: str) -> None:
        if self.open:
            try:
                print(text, file=self.screen, end="", flush=True)
            except BrokenPipeError:
                self.open = False
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.screen.fileno())

    def show(self, line: str, printed: str | None = None) -> None:
        """Look at one line of the log, without colour codes; ``printed`` has them."""
        self.tail.append(line)
        if self.whole_log:
            self.print(line if printed is None else printed)
        for text, (done, next_phase) in MILESTONES.items():
            if text in line and done not in self.seen:
                self.seen.add(done)
                self.say(done)
                self.begin(next_phase)
        if (found := TOTAL.search(line)) and int(found[1]) != self.total:
            self.total = int(found[1])
            self.record({"total_steps": self.total})
        if step := STEP.search(line):
            self.show_step(int(step[1]), {name: float(value) for name, value in METRIC.findall(step[2])})
        elif finding := self.monitor.add_line(line):
            self.warn(finding)
        if "Final validation metrics" in line:
            self.begin(LAST_PHASE)

    def begin(self, phase: str) -> None:
        if phase != self.phase:
            if self.phase == VALIDATING:
                self.pace.first_validation = self.now() - self.began
            self.phase, self.began = phase, self.now()
            self.keep_phase()

    def keep_phase(self) -> None:
        if not self.phase.startswith("step ") or self.phase == "step 2":  # the first step belongs to the start
            self.record({"phase": self.phase, "began_at": time.time()})

    def show_step(self, step: int, metrics: dict[str, float]) -> None:
        trained = is_training(metrics)
        if self.earlier:  # a resume begins with the validation of the step that it goes on from
            self.learn_from_earlier_attempts(step if trained else step + 1)
        if trained:
            self.pace.add(step, metrics)
            self.watchdog.step_ended(self.now())
            self.begin(f"step {step + 1}" if step != self.total else LAST_PHASE)
        self.say(step_line(step, self.total, metrics, self.pace))
        for finding in self.monitor.add(step, metrics):
            self.warn(finding)

    def learn_from_earlier_attempts(self, first: int) -> None:
        for step, metrics in self.earlier.items():
            if step < first:
                self.monitor.add(step, metrics)
                if is_training(metrics):
                    self.pace.add(step, metrics)
        self.earlier = {}

    def warn(self, finding: Finding) -> None:
        """Show something that is wrong, and keep it in the log."""
        sign = {"bad": "!!", "warn": "!", "info": "i"}[finding.rule.level]
        self.say(f"{sign} {finding}", in_any_case=True)
        self.note(f"{OWN_LINE}{finding}")

    def tick(self) -> bool:
        """Do what time asks for; return whether the run must be ended because its step hangs."""
        now = self.now()
        verdict = self.watchdog.verdict(now) if self.phase != LAST_PHASE else None
        if verdict is Verdict.NAME:
            self.warn(Finding(HANG, self.watchdog.evidence(now)))
            self.record({"hung_step": self.pace.step + 1, "waited": round(now - self.watchdog.now, 1)})
        elif verdict is Verdict.SHOW_STACKS:
            self.show_stacks()
        elif verdict is Verdict.END:
            self.say(f"!! {HANG.name}: {self.watchdog.evidence(now)}; END_IF_HUNG ends the run", in_any_case=True)
            self.note(f"{OWN_LINE}{HANG.name}: END_IF_HUNG ends the run")
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.write(f"\r\x1b[K{self.doing()[:width]}")
        elif not self.whole_log:
            patient = self.phase.startswith("step ") and now - self.began > PATIENT_SECONDS
            silence = PATIENT_SECONDS if patient else SILENT_SECONDS
            if now - self.spoke >= silence:
                self.say(self.doing())
        return verdict is Verdict.END

    def doing(self) -> str:
        """Say what is going on, for how long, and how long it usually takes."""
        usual = self.usual.get(self.phase)
        if self.phase.startswith("step "):
            usual = self.pace.usual(self.pace.step + 1)
        known = f" (usually {duration(usual)})" if usual else ""
        left = self.pace.remaining(self.total) if self.phase.startswith("step ") else None
        to_go = f"; {remaining_time(left)}" if left else ""
        return f"... {self.phase}: {duration(round(self.now() - self.began))}{known}{to_go}"

    def show_stacks(self) -> None:
        """Say what each process waits for; whole stacks go into the log."""
        waits = what_they_wait_for(self.launcher) if self.launcher else []
        if not waits:
            self.say("!! no process of this run is on this machine; look at the other nodes with `ray stack`")
        for wait in waits:
            if not wait.is_idle:
                self.say(f"!! {wait}", in_any_case=True)
            for frame in [f"{wait.name} (pid {wait.pid}, {wait.state})", *wait.where]:
                self.note(f"{OWN_LINE}{frame}")
        if idle := sum(wait.is_idle for wait in waits):
            self.say(f"!! {idle} other actors wait for a call; all stacks are in the log", in_any_case=True)


class Log:
    """The log file; each line gets its time. A full disk costs the log, not the training."""

    def __init__(self, path: Path):
        self.path = path
        self.file = path.open("w", encoding="utf-8")

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self.file.write(f"{datetime.now().isoformat(timespec='milliseconds')} {line}\n")

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self.file.flush()


def follow(console: Console, log: Log, trainer: int | None) -> tuple[bool, bool]:
    """Read the trainer's output to its end; return whether it finished, and whether it hung and was ended."""
    finished = hung = False
    rest = b""
    end_by = None
    while end_by is None or time.monotonic() < end_by:
        if select.select([0], [], [], TICK_SECONDS)[0]:
            chunk = os.read(0, 1 << 16)
            *lines, rest = (rest + chunk).split(b"\n") if chunk else (rest, b"")
            for raw in lines:
                # A progress bar redraws its line with carriage returns; each redraw is a line here.
                for part in raw.decode("utf-8", errors="replace").replace("\r", "\n").splitlines():
                    line = ANSI.sub("", part)
                    log.write(line)
                    console.show(line, part)
                    finished |= "Final validation metrics" in line
            log.flush()
            if not chunk:
                break
        if console.tick() and trainer:
            log.flush()
            hung = True
            end(trainer, processes_under(console.launcher) if console.launcher else [])
            end_by = time.monotonic() + GRACE_SECONDS
    return finished, hung


def end(trainer: int, others: list) -> None:
    """End a hanging trainer, and the processes of its run: those that hang do not see that Ray has gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(trainer, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and Path(f"/proc/{trainer}").exists() and not _is_zombie(trainer):
            time.sleep(TICK_SECONDS)
        os.kill(trainer, signal.SIGKILL)
    for process in others:
        with contextlib.suppress(Exception):  # gone, or another's by now: psutil checks the start time
            process.kill()


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


def of_run(run: RunFolder, attempt: int, log: Log, screen: TextIO, whole_log: bool) -> Console:
    """Return the console of an attempt, with what earlier ones tell about the run."""
    earlier: dict[int, dict[str, float]] = {}
    for number in run.numbers_of_attempts():
        if number < attempt and run.metrics(number).exists():
            merge(earlier, metric_records(run.metrics(number)))
    recorded = {}
    if run.attempts.exists():
        recorded = attempts.progress_of(attempts.read_json_lines(run.attempts))
    usual: dict[str, float] = {}
    for number in sorted(recorded):
        usual |= recorded[number].durations()
    settings = settings_of(run)

    def record(facts: dict) -> None:
        with contextlib.suppress(OSError):
            attempts.record(run, attempt, facts)

    return Console(
        screen,
        settings,
        lambda: facts_of(run, settings),
        usual,
        dict(sorted(earlier.items())),
        float(os.environ.get("END_IF_HUNG") or 0) or None,
        os.getppid(),
        log.write,
        record,
        whole_log=whole_log,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("attempt", type=int)
    parser.add_argument("--trainer", type=int, help="the trainer's process, which is ended if a step hangs")
    arguments = parser.parse_args()
    run = RunFolder(arguments.run)
    # On Ctrl-C the trainer ends by itself; what it says while ending must not be lost.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    verbose = os.environ.get("VERBOSE") == "1"
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a character must not stop a training
    log = Log(run.log(arguments.attempt))
    console = of_run(run, arguments.attempt, log, sys.stdout, verbose)
    finished, hung = follow(console, log, arguments.trainer)
    log.flush()
    if console.live:
        console.write("\r\x1b[K")
    if not finished and not hung and not verbose:
        console.print("\n    ".join([f"the last {len(console.tail)} lines of {log.path}:", *console.tail]))
    return MAY_BE_RESTARTED if hung else 0


if __name__ == "__main__":
    sys.exit(main())
