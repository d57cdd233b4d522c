"""Smoke-run launchers one after the other and record how it went.

    python -m tools.smoke run_qwen3-8b_fsdp_gsm8k      these
    python -m tools.smoke --one-per-architecture       one for each model family and training backend
    python -m tools.smoke --all                        every launcher

Each is `SMOKE=1 bash <launcher>` with no knob from the environment: a model of the same architecture, shrunken, two
steps on this machine's CPU. Its output goes to runs/<name>.smoke.log, its results to runs/<name>.smoke/, its record to
examples/grpo_trainer/verified.jsonl. Exits with 1 if a launcher failed, or if its rollout engine and its trainer
disagree about the policy; one that says that it cannot run on a CPU did not fail.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from grpo_launchpad.health.rules import DIVERGENCE_LIMIT
from grpo_launchpad.launch.environment import FLAGS, PLACES, UserError
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.launch.plan import plan_of_page
from grpo_launchpad.runs.folder import RunFolder
from grpo_launchpad.verification import Record, new_record, write
from tools.launchers import ROOT, Launcher, NoLauncherError, all_launchers, find_launcher

TIME_LIMIT = 900  # seconds; a smoke run that works takes one to five minutes
GRACE = 5  # seconds that an interrupted launcher has to end its workers

ROW = "  {:9}  {:>5}  {:>5}  {:>10}  {:>7}"


def one_per_architecture(launchers: list[Launcher]) -> list[Launcher]:
    """Return one launcher for each model type and training backend, if there is a choice one that shards the model.

    NPU launchers count with their CUDA twins: on a CPU both take the same path.
    """
    chosen: dict[tuple[str, str], Launcher] = {}
    for launcher in sorted(launchers, key=lambda each: (workers(each) == 1, each.name)):
        model_type = launcher.architecture.model_type if launcher.architecture else launcher.model
        chosen.setdefault((model_type, launcher.backend.removesuffix("-npu")), launcher)
    return sorted(chosen.values(), key=lambda each: each.name)


def workers(launcher: Launcher) -> int:
    return int(launcher.knobs["NNODES"]) * int(launcher.knobs["NGPUS_PER_NODE"])


def smoke(launcher: Launcher, runs: Path = ROOT / "runs") -> Record:
    """Smoke-run one launcher; return its record, which is not written yet.

    Args:
        launcher: what to run.
        runs: the folder for its run folder, <name>.smoke, and its log.
    """
    record = new_record(launcher.path, "S")  # before the run: of the command that runs
    try:
        plan_of_page(launcher.path, {"SMOKE": "1"})
    except UserError as refusal:
        return replace(record, reason=str(refusal))
    environment = {name: value for name, value in os.environ.items() if name not in steering()}
    environment |= {"SMOKE": "1", "RUN_DIR": str(runs / launcher.name)}  # to which .smoke is added
    folder, log = RunFolder(runs / f"{launcher.name}.smoke"), log_of(launcher, runs)
    runs.mkdir(exist_ok=True)
    folder.summary.unlink(missing_ok=True)  # that of an earlier run
    started = time.monotonic()
    with log.open("wb") as stream:
        exit_code = run_to_end(["bash", str(launcher.path)], environment, stream)
    seconds = round(time.monotonic() - started, 1)

    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    summary = read_summary(folder)
    status = summary.get("status", "failed") if exit_code == 0 else "failed"
    divergence = summary.get("rollout_divergence_max")
    if (divergence or 0) > DIVERGENCE_LIMIT:
        status = "disagree"
    return replace(
        record,
        hardware=f"{len(os.sched_getaffinity(0))} CPU cores",
        status=status,
        steps=summary.get("steps"),
        world_size=summary.get("world_size"),
        rollout_probs_diff_mean=rounded(summary.get("rollout_probs_diff_mean")),
        rollout_divergence_max=rounded(divergence),
        divergence_limit=DIVERGENCE_LIMIT,
        seconds=seconds,
    )


def steering() -> set[str]:
    """Return the variables that would make it another run than the one that is recorded."""
    names = {name for knob in read_knobs() for name in (knob.name, *knob.also)}
    places = {name for place, (also, _) in PLACES.items() for name in (place, *also)} - {"PYTHON"}
    return names | places | set(FLAGS)


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def log_of(launcher: Launcher, runs: Path) -> Path:
    return runs / f"{launcher.name}.smoke.log"


def run_to_end(command: list[str], environment: dict[str, str], output) -> int:
    """Run a command in a process group of its own, which does not outlive this call; return its exit code."""
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    ) as process:
        try:
            return process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            output.write(f"\nno end after {TIME_LIMIT} s: stopped\n".encode())
            return 1
        finally:
            end_group(process)


def end_group(process: subprocess.Popen) -> None:
    """End a process and all that it started in its group: by request, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def read_summary(folder: RunFolder) -> dict:
    try:
        return json.loads(folder.summary.read_text())
    except (OSError, ValueError):
        return {}


def smoke_each(launchers: list[Launcher], runs: Path = ROOT / "runs") -> list[Launcher]:
    """Smoke-run launchers, printing a line and writing a record for each; return those that failed."""
    width = max(len(launcher.name) for launcher in launchers)
    print("launcher".ljust(width) + ROW.format("status", "world", "steps", "probs diff", "seconds"))
    failed, cannot = [], {}
    for launcher in launchers:
        print(launcher.name.ljust(width), end="", flush=True)
        record = smoke(launcher, runs)
        write(record, launcher.path.with_name("verified.jsonl"))
        if record.reason:
            print(ROW.format("cannot", "", "", "", "").rstrip(), flush=True)
            cannot.setdefault(record.reason, []).append(launcher.name)
            continue
        figures = (record.world_size, record.steps, record.rollout_probs_diff_mean, record.seconds)
        print(ROW.format(record.status, *("-" if figure is None else figure for figure in figures)), flush=True)
        if record.status != "completed":
            failed.append(launcher)
    for reason, names in cannot.items():
        print(f"\n{len(names)} cannot run on a CPU: {reason}")
    if failed:
        print(f"\n{len(failed)} of {len(launchers)} failed:")
        for launcher in failed:
            print(f"  {launcher.name}: {log_of(launcher, runs)}")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.smoke", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="launchers of examples/grpo_trainer")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--one-per-architecture", action="store_true", help="one for each model type and backend")
    which.add_argument("--all", action="store_true", help="every launcher")
    args = parser.parse_args()
    if bool(args.names) == (args.one_per_architecture or args.all):
        parser.error("name launchers, or give --one-per-architecture or --all")
    try:
        launchers = [find_launcher(name) for name in args.names] or all_launchers()
    except NoLauncherError as error:
        parser.error(str(error))
    if args.one_per_architecture:
        launchers = one_per_architecture(launchers)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # a shell starts background programs deaf to Ctrl-C
    try:
        failed = smoke_each(launchers)
    except KeyboardInterrupt:
        print("\ninterrupted; the records of the runs above are written", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
