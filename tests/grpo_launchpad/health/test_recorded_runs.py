"""The rules on runs that were recorded on a CPU: seeded faults are named early, sound runs raise no alarm."""

import json
import math
from pathlib import Path
from statistics import median

import pytest

from grpo_launchpad.health.history import Facts
from grpo_launchpad.health.monitor import Monitor
from grpo_launchpad.health.watchdog import Watchdog
from grpo_launchpad.runs.pace import Pace
from grpo_launchpad.runs.settings import Settings

SAMPLES = Path(__file__).parents[2] / "samples" / "runs"
SOUND = sorted(path.stem for path in SAMPLES.glob("healthy_*.jsonl"))
# What was wrong -> the rules of which one has to name it, and the training step from which on it was wrong
FAULTS = {
    "lr100": ({"reward-fell", "entropy-explosion", "gradient-spike"}, 1),
    "wrong": ({"reward-hacked"}, 1),
    "short": ({"truncation"}, 1),
    "constant": ({"constant-reward"}, 1),
    "stopped": ({"scorer-stopped"}, 5),
}


def read(name: str) -> tuple[Facts, list[str], list[tuple[int, dict[str, float]]]]:
    first, *records = map(json.loads, (SAMPLES / f"{name}.jsonl").read_text().splitlines())
    metrics = [
        (record["step"], {k: math.nan if v is None else v for k, v in record["data"].items()}) for record in records
    ]
    return Facts(**first["facts"]), first["log"], metrics


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_raises_no_alarm(name):
    facts, log, metrics = read(name)
    monitor = Monitor(facts)
    for step, values in metrics:
        monitor.add(step, values)
    for line in log:
        monitor.add_line(line)
    assert [str(finding) for finding in monitor.alarms()] == []


def test_there_are_five_sound_runs():
    assert len(SOUND) >= 5


@pytest.mark.parametrize("name", FAULTS)
def test_a_seeded_fault_is_named_within_ten_steps(name):
    rules, since = FAULTS[name]
    facts, _, metrics = read(name)
    monitor = Monitor(facts)
    named = {}
    for step, values in metrics:
        for finding in monitor.add(step, values):
            named.setdefault(finding.rule.name, step)
    assert rules & named.keys(), named
    assert min(named[rule] for rule in rules & named.keys()) - since < 10


def watch_over(name: str, silent: float = 0.0) -> tuple[list[float], float]:
    """Live through the steps of a sample as long as they took, and through a silence after them.

    Returns the seconds since the last step at which a hang was named, and the median step.
    """
    first = json.loads((SAMPLES / f"{name}.jsonl").read_text().splitlines()[0])
    pace = Pace(Settings(**first["settings"]))
    pace.first_validation = 5.0  # about what it took in all of them
    watchdog = Watchdog(pace, None, 0.0)
    now, named, durations = 0.0, [], []

    def wait(seconds: float) -> None:
        nonlocal now
        end = now + seconds
        while now < end:
            now += 0.5
            if watchdog.verdict(now):
                named.append(now - watchdog.now)

    for step, values in read(name)[2]:
        if "timing_s/step" in values:
            durations.append(values["timing_s/step"])
            wait(values["timing_s/step"] + values.get("timing_s/testing", 0.0))
            pace.add(step, values)
            watchdog.step_ended(now)
    if silent:
        wait(silent)
    return named, median(durations)


@pytest.mark.parametrize("name", [*SOUND, *FAULTS])
def test_a_run_whose_steps_go_on_does_not_hang(name):
    assert watch_over(name)[0] == []


def test_the_frozen_step_is_named_within_twice_the_median():
    named, usual = watch_over("frozen", silent=60.0)
    assert 2 * usual < named[0] <= 2 * usual + 1.0  # it looks every half second


def test_the_dead_engine_is_named_by_its_log():
    facts, log, _ = read("dead")
    monitor = Monitor(facts)
    for line in log:
        monitor.add_line(line)
    assert "engine-died" in {finding.rule.name for finding in monitor.alarms()}
