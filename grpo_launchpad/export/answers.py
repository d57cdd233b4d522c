"""The rollout engine's greedy answers with an exported folder, beside those that the run recorded at that step.

    python -m grpo_launchpad.export.answers question.json answer.json      # the engine, in a process of its own

Two runs of one engine with the same weights may part where two tokens are as good as equal: the sums of a batch are
rounded in another order. Where an answer parts from the recorded one, the recorded token must be within ``TIE`` of the
best in transformers' logits; bf16 has steps of 0.125 for numbers between 16 and 32.
"""

import contextlib
import functools
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict

from grpo_launchpad.export import NotProved
from grpo_launchpad.export.checkpoint import Checkpoint
from grpo_launchpad.inference.engine import EngineError, Request, Sampling, VllmEngine, is_cpu_build
from grpo_launchpad.inference.prompts import PromptError, Prompts
from grpo_launchpad.launch.devices import variables_of
from grpo_launchpad.runs.attempts import read_json_lines
from grpo_launchpad.runs.folder import RunFolder

ROLLOUT = "actor_rollout_ref.rollout"
QUESTIONS = 16
LOOKED_AT = 128  # validation prompts, of which the ones that the training changed come first
TOKENS = 256  # of an answer; the rest of a longer one is not compared
TIE = 0.125
WINDOW, BRANCHES = 16, 4  # tokens behind the place where answers part, and ways to go on at a time
UNFINISHED = "\ufffd"  # what a tokenizer writes for the first bytes of a character


@dataclass(frozen=True)
class Answers:
    """What the answers were found to be.

    Attributes:
        compared: how many.
        ties: how many part from the recorded ones where two tokens were as good as equal.
        changed_by_training: how many of the compared ones the model answered otherwise before the training; None if
            the run did not record it.
        reason: why none was compared, or "".
    """

    compared: int = 0
    ties: int = 0
    changed_by_training: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """A validation prompt: its tokens, what the run answered at the exported step, and before the training if known."""

    prompt: list[int]
    answer: str
    before: str | None


def prove_answers(run: RunFolder, checkpoint: Checkpoint, folder: Path, scratch: Path) -> Answers:
    """Load a folder in the rollout engine and compare its answers with the recorded ones.

    Args:
        run: of the checkpoint.
        checkpoint: that was exported.
        folder: with the export.
        scratch: a folder for what goes to the engine's process and comes from it.

    Raises:
        NotProved: if the engine does not load it, or it answers otherwise.
    """
    try:
        prompts = Prompts(folder, checkpoint.setting("data.apply_chat_template_kwargs"))
    except PromptError as error:
        raise NotProved(str(error)) from error
    questions, reason = _questions(run, checkpoint, prompts)
    limit = min(TOKENS, checkpoint.setting("data.max_response_length"))
    asked = {
        "model": str(folder),
        "dtype": checkpoint.setting(f"{ROLLOUT}.dtype", "bfloat16"),
        "tensor_parallel": checkpoint.setting(f"{ROLLOUT}.tensor_model_parallel_size", 1),
        "max_tokens": limit,
        "prompts": [question.prompt for question in questions] or [[0]],
    }
    given = _ask_engine(asked, scratch)
    if reason:
        return Answers(reason=reason)
    parted = [
        (question, tokens)
        for question, tokens in zip(questions, given, strict=True)
        if not _is_recorded(question.answer, prompts.text(tokens), cut=len(tokens) == limit)
    ]
    wrong = [each for each in parted if not _is_tie(*each, checkpoint, folder)] if parted else []
    if wrong:
        question, tokens = wrong[0]
        raise NotProved(
            f"{folder}: {len(wrong)} of {len(questions)} greedy answers are not those that the run recorded at step "
            f"{checkpoint.step}, such as to {prompts.text(question.prompt)[-80:]!r}: {prompts.text(tokens)[:80]!r}, "
            f"recorded {question.answer[:80]!r}."
        )
    known = [question for question in questions if question.before is not None]
    changed = sum(question.before != question.answer for question in known) if known else None
    return Answers(len(questions), len(parted), changed)


def _questions(run: RunFolder, checkpoint: Checkpoint, prompts: Prompts) -> tuple[list[Question], str]:
    """Return validation prompts with what the run answered, or why there are none."""
    temperature = checkpoint.setting(f"{ROLLOUT}.val_kwargs.temperature", 0)
    if temperature:
        return [], f"the run validated at temperature {temperature}"
    if (loop := checkpoint.setting(f"{ROLLOUT}.agent.default_agent_loop")) != "single_turn_agent":
        return [], f"the run answered in several turns ({loop})"
    recorded = run.rollouts_by_step("validation")
    if checkpoint.step not in recorded:
        return [], f"no validation was recorded at step {checkpoint.step}"
    answers = _by_prompt(recorded[checkpoint.step])
    before = _by_prompt(recorded[0]) if 0 in recorded else {}
    try:
        asked = ((tokens, prompts.text(tokens)) for tokens in _validation_prompts(checkpoint, prompts))
        answered = (Question(tokens, answers[text], before.get(text)) for tokens, text in asked if text in answers)
        found = list(itertools.islice(answered, min(LOOKED_AT, len(answers))))
    except (OSError, ValueError) as error:
        return [], f"the validation data cannot be read ({str(error).splitlines()[0]})"
    if not found:
        return [], "no prompt of the validation data is one of the recorded ones, or all have pictures or tools"
    found.sort(key=lambda question: question.before == question.answer)  # stable: in the order of the data
    return found[:QUESTIONS], ""


def _by_prompt(file: Path) -> dict[str, str]:
    """Return prompt -> answer of recorded samples, both as text without special tokens."""
    return {line["input"]: line["output"] for line in read_json_lines(file) if {"input", "output"} <= line.keys()}


def _validation_prompts(checkpoint: Checkpoint, prompts: Prompts) -> Iterator[list[int]]:
    """Yield the tokens of the validation prompts that are text alone, from verl's own data set.

    All of them: which ones verl takes if it is to take some (VAL_ROWS), it draws anew in each run.
    """
    from verl.utils.dataset.rl_dataset import RLHFDataset

    data = OmegaConf.create(OmegaConf.to_container(checkpoint.config.data, resolve=False))
    with open_dict(data):
        data.filter_overlong_prompts = False  # would look at every row
        data.tool_config_path = data.function_tool_path = None  # interpolated from outside of data
    files = checkpoint.config.data.val_files
    files = [files] if isinstance(files, str) else list(files)
    with contextlib.redirect_stdout(io.StringIO()):
        rows = RLHFDataset(files, None, data)
    for number in range(len(rows)):
        row = rows.dataframe[number]
        if "agent_name" not in row and not any(
            row.get(key) for key in (rows.image_key, rows.video_key, rows.audio_key)
        ):
            yield prompts.tokens(row[rows.prompt_key])


def _is_recorded(recorded: str, text: str, cut: bool) -> bool:
    """Say whether an answer is the recorded one, which may go on where the engine was told to stop."""
    return text == recorded or (cut and recorded.startswith(text))


def _is_tie(question: Question, tokens: list[int], checkpoint: Checkpoint, folder: Path) -> bool:
    """Say whether the recorded answer is one that the model gives where tokens are as good as equal.

    The record is text, so that its tokens are found by going on from where the answers part: with each token that is
    within ``TIE`` of the best and spells what was recorded, for ``WINDOW`` tokens.
    """
    import torch

    tokenizer, model = _in_transformers(folder, checkpoint)
    special = set(tokenizer.all_special_ids)

    def spells(ids: list[int]) -> bool:
        text = tokenizer.decode(ids, skip_special_tokens=True)
        return question.answer.startswith(text.rstrip(UNFINISHED))

    at = next((place for place in range(len(tokens)) if not spells(tokens[: place + 1])), len(tokens))
    limit = min(TOKENS, checkpoint.setting("data.max_response_length"))
    begun = [tokens[:length] for length in range(max(0, at - 1), at + 1)]  # a character may have begun a token before
    # Where the record has bytes that are no text, as those of random weights, it does not tell how many there were.
    for _ in range(1 if UNFINISHED in question.answer else WINDOW):
        longer = []
        for ids in begun[:BRANCHES]:
            if len(ids) >= limit:
                return True
            with torch.inference_mode():
                logits = model(torch.tensor([question.prompt + ids])).logits[0, -1].float()
            near = (logits >= logits.max() - TIE).nonzero().flatten().tolist()
            if special & set(near) and tokenizer.decode(ids, skip_special_tokens=True) == question.answer:
                return True
            longer += [[*ids, token] for token in near if token not in special and spells([*ids, token])]
        begun = longer
    return bool(begun)


@functools.lru_cache(maxsize=1)
def _in_transformers(folder: Path, checkpoint: Checkpoint):
    from transformers import AutoTokenizer

    from grpo_launchpad.export.model_folder import auto_class

    return AutoTokenizer.from_pretrained(folder), auto_class(checkpoint).from_pretrained(folder, dtype="bfloat16")


def _ask_engine(asked: dict[str, Any], scratch: Path) -> list[list[int]]:
    """Return the tokens of the engine's answers."""
    question, answer = scratch / "question.json", scratch / "answer.json"
    question.write_text(json.dumps(asked), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "grpo_launchpad.export.answers", str(question), str(answer)]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if not answer.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise NotProved(f"{asked['model']}: vLLM ended with exit code {done.returncode}: {said[-1][:300]}")
    given = json.loads(answer.read_text(encoding="utf-8"))
    if isinstance(given, str):
        raise NotProved(given)
    return given


def _environment() -> dict[str, str]:
    """Return the environment of the engine's process: on a CPU that of a run, so that the same kernels compute."""
    variables = {}
    if is_cpu_build():
        for each in variables_of("cpu", "fsdp"):
            variables[each.name] = each.value if isinstance(each.value, str) else each.value()
    return variables | os.environ


def _answer(asked: dict[str, Any]) -> list[list[int]] | str:
    """Return the tokens of greedy answers, in order, or why the engine does not give them."""
    import torch

    here = torch.cuda.device_count() if torch.cuda.is_available() else 1
    prompts, limit = asked["prompts"], asked["max_tokens"]
    try:
        engine = VllmEngine(
            Path(asked["model"]),
            max_model_len=max(map(len, prompts)) + limit,
            tensor_parallel=max(1, min(asked["tensor_parallel"], here)),
            dtype=asked["dtype"],
        )
    except EngineError as error:
        return str(error)
    requests = [Request(str(number), prompt, limit, seed=0) for number, prompt in enumerate(prompts)]
    answers = [answer for step in engine.run(requests, Sampling(temperature=0)) for answer in step.answers]
    return [answer.tokens for answer in sorted(answers, key=lambda answer: int(answer.key))]


if __name__ == "__main__":
    read, written = map(Path, sys.argv[1:])
    written.write_text(json.dumps(_answer(json.loads(read.read_text(encoding="utf-8")))), encoding="utf-8")
