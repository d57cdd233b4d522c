"""Start a launch that was planned: check it, make what it needs, run verl's trainer, record how it went, report."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from grpo_launchpad import models
from grpo_launchpad.health.watchdog import MAY_BE_RESTARTED
from grpo_launchpad.launch import resume
from grpo_launchpad.launch.environment import UserError
from grpo_launchpad.launch.knobs import quoted
from grpo_launchpad.launch.plan import PASSWORD_IN_ADDRESS, ROOT, RUNTIME_ENV, TRAINER, Origin, Plan, Setting, Source
from grpo_launchpad.launch.stage import with_exported_model
from grpo_launchpad.preflight.check import check, check_machine, report_problems
from grpo_launchpad.preflight.compose import ComposeError, check_deletions, compose
from grpo_launchpad.preflight.machine import uses_a_running_ray
from grpo_launchpad.preflight.problem import Problem
from grpo_launchpad.runs import attempts
from grpo_launchpad.runs.checkpoints import last_step
from grpo_launchpad.runs.folder import write_whole
from grpo_launchpad.runs.lock import WAIT_SECONDS, LockedError, take_lock
from grpo_launchpad.runs.versions import installed

USERS_MISTAKE, FAILURE = 2, 1
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|COOKIE|AUTH", re.IGNORECASE)
MODEL = "actor_rollout_ref.model.path"


class Refused(Exception):
    """The launch cannot be; the text says why, for the terminal."""

    def __init__(self, text: str, exit_code: int = USERS_MISTAKE):
        super().__init__(text)
        self.exit_code = exit_code


def problems_of(plan: Plan, *, made_later: frozenset[str] = frozenset()) -> tuple[DictConfig | None, list[Problem]]:
    """Return the configuration that a plan composes to (None if it does not) and everything that is wrong with it.

    Args:
        plan: of the launch.
        made_later: data files that a smoke run makes before it trains; they need not be there yet.
    """
    try:
        config = compose(plan.overrides)
    except ComposeError as error:
        return None, error.problems
    if problems := check_deletions(plan.overrides):
        return None, problems
    if not plan.flags["PREFLIGHT"]:
        return config, []
    return config, check(config, plan.overrides, plan.run.path, made_later)


def complaint(plan: Plan, problems: list[Problem]) -> str:
    """Return problems as the text that a user reads."""
    return report_problems(problems, plan.place_of, plan.fix_in_place)


def start(plan: Plan, started_at: float) -> int:
    """Run a launch to its end; return the exit code for the shell.

    Args:
        plan: of the launch.
        started_at: when the launcher was called, in seconds since the epoch.

    Raises:
        Refused: if it cannot start. Then nothing was started and no run folder is left that was not there before.
    """
    lock = _take_lock(plan)
    with contextlib.ExitStack() as stack:
        stack.callback(_forget_if_nothing_started, plan)
        try:
            plan = with_exported_model(plan)
        except UserError as error:
            raise Refused(str(error)) from error
        warm_workers = stack.enter_context(_warm_workers(plan)) if plan.device == "cpu" else None
        if plan.flags["SMOKE"]:
            _make_smoke_data(plan)
        config, problems = problems_of(plan)
        if config is not None and not problems and plan.flags["PREFLIGHT"]:
            devices, disk = check_machine(config, plan.device, plan.run.path)
            problems = [*devices, *disk] or _sized(plan, config)
        if problems:
            raise Refused(complaint(plan, problems))
        if text := resume.hindrance(plan, config):
            raise Refused(text)

        step = finished_step(config)
        if step is not None:
            print(
                f"{plan.run_name}: step {step} is its last and its checkpoint is saved; "
                "a higher TRAIN_STEPS goes on, NEW_RUN=1 starts afresh",
                file=sys.stderr,
            )
            return _report(plan)
        if text := resume.extension(plan, config):
            print(text, file=sys.stderr)
        plan = _with_model_folder(plan, config)
        attempt = attempts.next_attempt(plan.run)
        try:
            _record(plan, config, attempt, started_at)
        except OSError as error:
            raise Refused(_cannot_write(plan, error), FAILURE) from error
        code = _train(plan, attempt, warm_workers, lock)
        with contextlib.suppress(OSError):  # a full disk takes the record, not the exit code
            attempts.record_end(plan.run, attempt, code)
        _report(plan)
        if code:
            hung = code == MAY_BE_RESTARTED
            how = "was ended, because its step hung" if hung else f"ended with exit code {code}"
            raise Refused(f"the trainer {how}; its log: {plan.run.log(attempt)}", code if hung else FAILURE)
    return 0


def _sized(plan: Plan, config: DictConfig) -> list[Problem]:
    """Print what the launch needs of its devices; return the problem of one that needs more than they have."""
    if plan.device == "cpu":
        return []
    from grpo_launchpad.doctor.judge import memory_of
    from grpo_launchpad.doctor.system import read_system
    from grpo_launchpad.launch.sizing import size

    sizing = size(plan, config)
    print(sizing.lines, file=sys.stderr)
    if not uses_a_running_ray(config):
        here = read_system()
        for note in sizing.notes(memory_of(here), here.shared_memory[0] if here.shared_memory else None):
            print(note, file=sys.stderr)
    return sizing.problems


def finished_step(config: DictConfig) -> int | None:
    """Return the step of the run's last checkpoint if the run is complete with it, else None."""
    last = OmegaConf.select(config, "trainer.total_training_steps")
    if config.trainer.resume_mode == "disable" or not isinstance(last, int):
        return None
    saved = last_step(Path(config.trainer.default_local_dir))
    return saved if saved is not None and saved >= last else None


def _take_lock(plan: Plan) -> int:
    def say() -> None:
        print(
            f"{plan.run_name}: {plan.run.path} is in use; waiting {WAIT_SECONDS:.0f} s for the other run to end",
            file=sys.stderr,
        )

    try:
        return take_lock(plan.run, on_wait=say)
    except LockedError:
        raise Refused(
            f"{plan.run.path} is in use by another run of the same name.\n"
            "  Wait for it, stop it, or start a second one with NEW_RUN=1 or RUN_NAME=<another name>."
        ) from None
    except OSError as error:
        raise Refused(_cannot_write(plan, error)) from error


def _cannot_write(plan: Plan, error: OSError) -> str:
    what = f"cannot write {error.filename or plan.run.path} ({error.strerror})"
    return f"{what}; set RUN_DIR to a folder that can be written"


def _forget_if_nothing_started(plan: Plan) -> None:
    """Leave no half of a run folder."""
    if not plan.run.attempts.exists():
        with contextlib.suppress(OSError):
            plan.run.warm_workers_log.unlink(missing_ok=True)
            plan.run.lock.unlink(missing_ok=True)
            plan.run.launch.rmdir()
            plan.run.path.rmdir()


@contextlib.contextmanager
def _warm_workers(plan: Plan) -> Iterator[Setting]:
    """Run the process that imports PyTorch and vLLM once and forks Ray's workers; see grpo_launchpad/warm_workers.

    Yields:
        what tells Ray to ask it for workers.
    """
    folder = Path(tempfile.mkdtemp(prefix="grpo-launchpad.", dir="/tmp"))  # a socket's path is short and has no space
    with plan.run.warm_workers_log.open("wb") as log:
        process = subprocess.Popen(
            [plan.python, "-P", "-m", "grpo_launchpad.warm_workers.server", str(folder)],
            env=_environment(plan),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C ends the trainer, which then ends Ray and its workers in order.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
    try:
        origin = Origin(Source.DEVICE, reason="workers by fork: PyTorch and vLLM are imported once")
        yield Setting(f"{RUNTIME_ENV}.py_executable", str(folder / "python"), origin, "++")
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _make_smoke_data(plan: Plan) -> None:
    """Empty the folder of a smoke run, which always starts afresh, and put the sample of the launcher's task there."""
    try:
        for path in plan.run.path.iterdir():
            if path != plan.run.launch:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        plan.run.attempts.unlink(missing_ok=True)
    except OSError as error:
        raise Refused(_cannot_write(plan, error)) from error
    if not any(plan.value(f"data.{key}").startswith(str(plan.run.data)) for key in ("train_files", "val_files")):
        return
    sample = ROOT / "data_prep" / "samples" / plan.name.task
    source = ["--source", str(sample)] if sample.is_dir() else []
    script = ROOT / "data_prep" / f"{plan.name.task}.py"
    done = subprocess.run(
        [plan.python, "-P", str(script), *source, "--out", str(plan.run.data)],
        env=_environment(plan),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(f"the data of the smoke run could not be made:\n{done.stdout}", FAILURE)


def _with_model_folder(plan: Plan, config: DictConfig) -> Plan:
    """Return the plan with the folder of its model, which is made or fetched if need be.

    Workers on other machines need the model at a path of theirs, so there a hub's name is left to verl.
    """
    name = config.actor_rollout_ref.model.path
    elsewhere = config.trainer.nnodes > 1 or uses_a_running_ray(config)
    if elsewhere and not models.is_made_here(name):
        return plan
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where the hubs' clients print
            folder = models.resolve(name)
    except models.ModelNotFoundError as error:
        raise Refused(str(error)) from error
    origin = plan.settings[MODEL].origin if MODEL in plan.settings else Origin(Source.PROJECT)
    return plan.with_settings(Setting(MODEL, quoted(str(folder)), origin))


def _record(plan: Plan, config: DictConfig, attempt: int, started_at: float) -> None:
    run = plan.run
    identity = {
        "name": plan.run_name,
        "model": plan.name.model,
        "task": plan.name.task,
        "backend": plan.name.backend,
        "world_size": config.trainer.nnodes * config.trainer.n_gpus_per_node,
        "train_files": resume.digests_of(config),
        "versions": installed(),
    }
    if plan.flags["SMOKE"]:
        identity["smoke"] = True
    write_whole(run.identity, json.dumps(identity, indent=2) + "\n")
    write_whole(run.configuration, OmegaConf.to_yaml(config, resolve=False))
    shown = {k: v for k, v in _environment(plan).items() if not SECRET.search(k) and not PASSWORD_IN_ADDRESS.search(v)}
    write_whole(run.environment, "".join(f"{name}={value}\n" for name, value in sorted(shown.items())))
    write_whole(run.command, plan.command())
    attempts.record_start(run, attempt, started_at, os.getpid())


def _environment(plan: Plan) -> dict[str, str]:
    return {**os.environ, **plan.variables}


def _train(plan: Plan, attempt: int, warm_workers: Setting | None, lock: int) -> int:
    """Run verl's trainer; return its exit code as a shell gives it.

    The console is a process of its own, so that a trainer whose launcher is killed can go on writing its log. Ctrl-C
    goes to the trainer, which the terminal tells by itself; a SIGTERM is passed on. Both are recorded afterwards.
    """
    metrics = str(plan.run.metrics(attempt))
    overrides = list(plan.overrides)
    if plan.environment.places.get("RAY_ADDRESS"):
        overrides.append(f"++{RUNTIME_ENV}.env_vars.VERL_FILE_LOGGER_PATH={quoted(metrics)}")
    if warm_workers:  # the recorded command works without the fork server, which ends with this run
        overrides.append(warm_workers.override)
    environment = _environment(plan) | {"VERL_FILE_LOGGER_PATH": metrics}
    started: list[subprocess.Popen] = []
    told_to_end = False

    def pass_on(*_) -> None:
        nonlocal told_to_end
        told_to_end = True
        for process in started:
            process.terminate()

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
    }
    trainer = subprocess.Popen(
        [plan.python, "-P", "-m", TRAINER, *overrides],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(lock,),
    )
    started.append(trainer)
    if told_to_end:  # while it was being started
        trainer.terminate()
    console = subprocess.Popen(
        [
            *(plan.python, "-P", "-m", "grpo_launchpad.console", str(plan.run.path), str(attempt)),
            *("--trainer", str(trainer.pid)),
        ],
        env=environment
        | {
            "VERBOSE": "1" if plan.flags["VERBOSE"] else "0",
            "END_IF_HUNG": plan.environment.places.get("END_IF_HUNG", ""),
        },
        stdin=trainer.stdout,
    )
    trainer.stdout.close()
    try:
        code = trainer.wait()
        if console.wait() == MAY_BE_RESTARTED:  # it ended the trainer, whose step hung
            code = MAY_BE_RESTARTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _report(plan: Plan) -> int:
    """Write the report in a process of its own: what goes wrong in it must not hide how the training went."""
    command = [plan.python, "-P", "-m", "grpo_launchpad", "report", str(plan.run.path)]
    return subprocess.run(command, env=_environment(plan), check=False).returncode
