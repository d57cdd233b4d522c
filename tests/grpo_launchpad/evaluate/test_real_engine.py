"""The shipped model in vLLM, loaded once: the engine, an evaluation, and the same evaluation after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grpo_launchpad.evaluate.command import main
from grpo_launchpad.inference.engine import Request, Sampling, VllmEngine
from grpo_launchpad.inference.prompts import Prompts
from grpo_launchpad.models import TINY_FOLDER
from tests.grpo_launchpad.evaluate.test_command import sums


@pytest.fixture(scope="session")
def engine() -> VllmEngine:
    return VllmEngine(TINY_FOLDER, max_model_len=24)


@pytest.fixture(scope="session")
def prompts() -> Prompts:
    return Prompts(TINY_FOLDER)


def requests(prompts: Prompts, count: int = 12) -> list[Request]:
    chats = [[{"role": "user", "content": f"{n}+{3 * n}="}] for n in range(count)]
    return [Request(str(n), prompts.tokens(chat), 8, seed=n) for n, chat in enumerate(chats)]


def answers(engine: VllmEngine, prompts: Prompts, sampling: Sampling) -> dict[str, str]:
    steps = engine.run(requests(prompts), sampling)
    return {answer.key: prompts.text(answer.tokens) for step in steps for answer in step.answers}


def test_greedy_answers_are_those_of_transformers(engine, prompts):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TINY_FOLDER)
    found = answers(engine, prompts, Sampling(0.0))
    for request in requests(prompts):
        ids = torch.tensor([request.prompt])
        made = model.generate(ids, max_new_tokens=8, do_sample=False)[0, len(request.prompt) :]
        assert found[request.key] == prompts.text(made.tolist())


def test_an_answer_depends_on_its_seed_alone(engine, prompts):
    sampling = Sampling(1.0, top_p=0.9)
    together = answers(engine, prompts, sampling)
    assert together == answers(engine, prompts, sampling)
    one = requests(prompts)[7]
    alone = [answer for step in engine.run([one], sampling) for answer in step.answers]
    assert prompts.text(alone[0].tokens) == together["7"]


def test_steps_count_tokens_and_limits_are_kept(engine, prompts):
    short = [Request("a", requests(prompts)[5].prompt, 1, 0)]
    steps = list(engine.run(short, Sampling(0.0)))
    (answer,) = [answer for step in steps for answer in step.answers]
    assert answer.truncated
    assert sum(step.tokens for step in steps) == len(answer.tokens) == 1


def test_a_stream_grows_to_the_answer(engine, prompts):
    request = requests(prompts)[5]
    parts = list(engine.stream(request, Sampling(0.0)))
    assert [len(part) for part in parts] == list(range(1, len(parts) + 1))
    assert prompts.text(parts[-1]) == answers(engine, prompts, Sampling(0.0))["5"]


def loaded(engine: VllmEngine):
    """Return what makes an engine: the one that is loaded already, and stays so."""
    return lambda *_, **__: type("Kept", (), {"run": engine.run, "close": lambda self: None})()


def test_an_evaluation_counts_what_the_model_can(engine, tmp_path):
    data, out = sums(tmp_path / "sums" / "test.jsonl", 40), tmp_path / "out"
    arguments = [str(TINY_FOLDER), "--data", str(data), "--out", str(out), "--preset", "justrl", "--samples", "4"]
    assert main([*arguments, "--max-tokens", "8"], load=loaded(engine)) == 0
    (row,) = json.loads((out / "results.json").read_text())["results"]
    assert 0.3 < row["metrics"]["avg@4"]["value"] < 0.95  # it adds, and forgets to carry


def test_killed_it_goes_on(engine, tmp_path):
    """kill -9 while it samples: the same command samples the rest, and nothing twice."""
    data, out = sums(tmp_path / "sums" / "test.jsonl", 40), tmp_path / "out"
    arguments = [str(TINY_FOLDER), "--data", str(data), "--out", str(out), "--preset", "dapo", "--samples", "64"]
    arguments += ["--max-tokens", "8"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "grpo_launchpad", "evaluate", *arguments]
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while killed.poll() is None and kept(out) < 200:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = kept(out)
    assert 200 <= before < 2560
    assert not (out / "results.json").exists()
    assert main(arguments, load=loaded(engine)) == 0
    lines = next((out / "answers").iterdir()).read_text().splitlines()
    places = [(row["problem"], row["sample"]) for row in map(json.loads, lines[1:])]
    assert len(places) == len(set(places)) == 2560


def kept(out: Path) -> int:
    files = list((out / "answers").glob("*.jsonl"))
    return files[0].read_bytes().count(b"\n") - 1 if files else 0
