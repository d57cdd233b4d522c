"""The rules on runs that were recorded on a CPU: seeded faults are named early, sound runs raise no alarm."""

import json
import math
from pathlib import Path

import pytest

from grpo_launchpad.health.history import Facts
from grpo_launchpad.health.monitor import Monitor

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
