"""Estimates against a sample of published measurements: what docs/en/estimate.md says of their errors holds for it."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.estimate.__main__ import estimate, read
from benchmarks.estimate.memory_rows import Estimate
from benchmarks.estimate.table import error

SAMPLE = Path(__file__).parents[2] / "samples" / "calibration.jsonl"


@pytest.fixture(scope="module")
def answers() -> list[tuple[dict, Estimate]]:
    return [(row, estimate(row)) for row in read(SAMPLE)]


def errors(answers, *whats: str, confidence: str = "ab") -> list[float]:
    chosen = [pair for pair in answers if pair[0]["what"] in whats and pair[0]["confidence"] in confidence]
    found = [error(row, answer) for row, answer in chosen]
    return sorted(abs(each) for each in found if each is not None)


def test_states_are_within_one_percent_or_two(answers):
    found = errors(answers, "model_states_gib")
    assert statistics.median(found) <= 0.01
    assert max(found) <= 0.02


@pytest.mark.parametrize("what", ["peak_allocated_gib", "peak_reserved_gib"])
def test_peaks_are_within_ten_percent(answers, what):
    found = errors(answers, what)
    assert len(found) >= 9
    assert statistics.median(found) <= 0.05
    assert found[len(found) * 9 // 10 - 1] <= 0.10
    assert max(found) <= 0.20


def test_the_engines_log_is_within_four_percent(answers):
    assert max(errors(answers, "vllm_weights_gib", "vllm_kv_gib", "vllm_kv_tokens", "vllm_activation_peak_gib")) <= 0.04


def test_no_run_out_of_memory_is_said_to_fit_and_none_that_ran_not_to(answers):
    verdicts = {(row["what"], answer.verdict) for row, answer in answers if row["what"] in ("fits", "oom")}
    assert ("oom", "fits") not in verdicts
    assert ("fits", "does not fit") not in verdicts
    assert {("oom", "does not fit"), ("fits", "fits")} <= verdicts  # tight is not the answer to everything


def test_what_is_not_modelled_has_no_number_and_a_reason(answers):
    unknown = [answer for _, answer in answers if answer.value is None]
    assert unknown
    assert all(answer.reason and answer.verdict is None for answer in unknown)
    best = [answer for row, answer in answers if row["confidence"] == "a"]
    assert sum(answer.value is not None for answer in best) >= 0.6 * len(best)


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks.estimate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=SAMPLE.parents[2], check=False)


def test_the_command_answers_each_row_in_json():
    done = run(SAMPLE, "--json")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    rows = read(SAMPLE)
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        assert ("verdict" in answer) == (row["what"] in ("fits", "oom"))


def test_rows_with_fields_that_nobody_foresaw_are_not_modelled(tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = [
        {"id": "a", "what": "peak_allocated_gib", "value": 1},
        {"id": "b", "what": "something_new", "value": 1, "engine": "fsdp2"},
        {"id": "c", "what": "oom", "value": 1, "engine": "megatron", "model": "nobody/nothing", "world": "many"},
        {"id": "d", "what": "peak_allocated_gib", "value": 1, "engine": "fsdp2", "model": "Qwen/Qwen3-8B", "dtype": 7},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run(file, "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["estimate"] for line in done.stdout.splitlines()] == [None] * 4


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 1}'])
def test_a_file_of_another_form_is_refused_by_its_line(tmp_path, text):
    file = tmp_path / "rows.jsonl"
    file.write_text(f"\n{text}\n", encoding="utf-8")
    done = run(file)
    assert done.returncode == 2
    assert f"{file}:2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert run(tmp_path / "none.jsonl").returncode == 2
