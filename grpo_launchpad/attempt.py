"""One attempt at a run: checked and recorded before it starts, recorded again when it ends.

A run folder holds any number of attempts; a later one resumes from the checkpoint of an earlier one. ``launch.sh``
calls ``begin`` before and ``end`` after the trainer. What they write is what ``grpo_launchpad.report`` reads:

    launch/run.json          name, model, backend, task, world size
    launch/attempts.jsonl    {"attempt", "started_at", "pid"} and later {"attempt", "ended_at", "exit_code"}
    launch/resolved.yaml     the whole configuration of the last attempt
    launch/env.txt           the environment of the last attempt, secrets left out
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad import models
from grpo_launchpad.preflight.check import check, report_problems
from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.preflight.machine import check_devices
from grpo_launchpad.preflight.places import Places

PASSWORD_IN_ADDRESS = re.compile(r"://[^/@]*:[^/@]*@")
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|COOKIE|AUTH", re.IGNORECASE)


def begin(args: argparse.Namespace) -> int:
    """Check the launch, obtain the model, record the attempt; print its number and the model's path.

    Prints ``finished`` instead if the run's last checkpoint is already that of its last step.
    """
    try:
        config = compose(args.overrides)
        problems = []
        if os.environ.get("PREFLIGHT") != "0":
            problems = check(config, args.overrides, args.run_dir) or check_devices(config, args.device)
    except ComposeError as error:
        problems = error.problems
    if problems:
        print(report_problems(problems, Places(args.launcher, args.overrides)), file=sys.stderr)
        return 2

    launch = args.run_dir / "launch"
    last_step = finished_step(config)
    if last_step is not None:
        message = f"{args.name}: step {last_step} is its last and its checkpoint is saved; NEW_RUN=1 starts afresh"
        print(message, file=sys.stderr)
        print("finished")
        return 0

    try:
        # Every node of a cluster needs the model at the same path, so there its name is left to verl.
        model_path = models.resolve(config.actor_rollout_ref.model.path) if config.trainer.nnodes == 1 else ""
    except models.ModelNotFoundError as error:
        print(error, file=sys.stderr)
        return 2

    run = {
        "name": args.name,
        "model": args.model,
        "task": args.task,
        "backend": args.backend,
        "world_size": config.trainer.nnodes * config.trainer.n_gpus_per_node,
    }
    write_text(launch / "run.json", json.dumps(run, indent=2) + "\n")
    write_text(launch / "resolved.yaml", OmegaConf.to_yaml(config, resolve=False))
    environment = "".join(
        f"{k}={v}\n"
        for k, v in sorted(os.environ.items())
        if not SECRET.search(k) and not PASSWORD_IN_ADDRESS.search(v)
    )
    write_text(launch / "env.txt", environment)
    attempt = 1 + sum("started_at" in record for record in read_attempts(launch))
    append_attempt(launch, {"attempt": attempt, "started_at": args.started_at, "pid": os.getppid()})
    print(attempt)
    print(model_path)
    return 0


def end(args: argparse.Namespace) -> int:
    """Record how the attempt ended."""
    record = {"attempt": args.attempt, "ended_at": time.time(), "exit_code": args.exit_code}
    append_attempt(args.run_dir / "launch", record)
    return 0


def finished_step(config: DictConfig) -> int | None:
    """Return the step of the run's last checkpoint if the run is complete with it, else None.

    Source: ``latest_checkpointed_iteration.txt``, which verl 0.9.1 writes after each checkpoint.
    """
    tracker = Path(config.trainer.default_local_dir) / "latest_checkpointed_iteration.txt"
    if config.trainer.resume_mode == "disable" or config.trainer.total_training_steps is None or not tracker.exists():
        return None
    step = int(tracker.read_text())
    return step if step >= config.trainer.total_training_steps else None


def read_attempts(launch: Path) -> list[dict]:
    """Return the records of earlier attempts, oldest first."""
    path = launch / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append_attempt(launch: Path, record: dict) -> None:
    """Add one record, in a single write."""
    with (launch / "attempts.jsonl").open("a") as stream:
        stream.write(json.dumps(record) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace a file as a whole."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(text)
    partial.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    beginning = commands.add_parser("begin", help="check and record the start")
    beginning.set_defaults(run=begin)
    beginning.add_argument("--run-dir", type=Path, required=True)
    for name in ("name", "model", "backend", "task", "device"):
        beginning.add_argument(f"--{name}", required=True)
    beginning.add_argument("--launcher", type=Path, required=True, help="the launcher's file, which messages name")
    beginning.add_argument("--started-at", type=float, required=True, help="seconds since the epoch")
    beginning.add_argument("overrides", nargs="*", help="Hydra overrides, as for verl.trainer.main_ppo")
    ending = commands.add_parser("end", help="record the end")
    ending.set_defaults(run=end)
    ending.add_argument("run_dir", type=Path)
    ending.add_argument("attempt", type=int)
    ending.add_argument("exit_code", type=int)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
