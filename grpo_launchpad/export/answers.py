"""The rollout engine's greedy answers with an exported folder, beside those that the run recorded at that step.

    python -m grpo_launchpad.export.answers question.json answer.json      # the engine, in a process of its own

Two runs of one engine with the same weights may part where two tokens are as good as equal: the sums of a batch are
rounded in another order. Where an answer parts from the recorded one, the recorded token must have been within ``TIE``
of the best; bf16 has steps of 0.125 for logits between 16 and 32.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict

from grpo_launchpad.export import NotProved
from grpo_launchpad.export.checkpoint import MODEL, Checkpoint
from grpo_launchpad.launch.devices import variables_of
from grpo_launchpad.runs.attempts import read_json_lines
from grpo_launchpad.runs.folder import RunFolder

ROLLOUT = "actor_rollout_ref.rollout"
QUESTIONS = 16
LOOKED_AT = 512  # validation prompts, of which the ones that the training changed come first
TOKENS = 256  # of an answer; the rest of a longer one is not compared
TIE = 0.125  # nats
CANDIDATES = 5  # tokens of each step that the engine names


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
    """One validation prompt: its tokens, what was answered at the exported step, and before the training if known."""

    prompt: list[int]
    answer: str
    before: str | None


def prove_answers(run: RunFolder, checkpoint: Checkpoint, folder: Path, log: Path) -> Answers:
    """Load a folder in the rollout engine and compare its answers with the recorded ones.

    Args:
        run: of the checkpoint.
        checkpoint: that was exported.
        folder: with the export.
        log: the file for what the engine says.

    Raises:
        NotProved: if the engine does not load it, or it answers otherwise.
    """
    questions, reason = _questions(run, checkpoint, folder)
    asked = {
        "model": str(folder),
        "trust_remote_code": bool(checkpoint.setting(f"{MODEL}.trust_remote_code")),
        "dtype": checkpoint.setting(f"{ROLLOUT}.dtype", "bfloat16"),
        "max_model_len": checkpoint.setting(f"{ROLLOUT}.max_model_len"),
        "tensor_parallel_size": checkpoint.setting(f"{ROLLOUT}.tensor_model_parallel_size", 1),
        "max_tokens": min(TOKENS, checkpoint.setting("data.max_response_length")),
        "prompts": [question.prompt for question in questions] or [[1]],
    }
    given = _ask_engine(asked, folder, log)
    if reason:
        return Answers(reason=reason)
    ties, wrong = 0, []
    tokenizer = _tokenizer(checkpoint, folder)
    for question, found in zip(questions, given, strict=True):
        verdict = _compare(question.answer, found, tokenizer, asked["max_tokens"])
        ties += verdict == "tie"
        if verdict == "other":
            wrong.append((tokenizer.decode(question.prompt, skip_special_tokens=True), question.answer, found["text"]))
    if wrong:
        prompt, recorded, text = wrong[0]
        raise NotProved(
            f"{folder}: {len(wrong)} of {len(questions)} greedy answers are not those that the run recorded at step "
            f"{checkpoint.step}, such as to {prompt[-80:]!r}: {text[:80]!r}, recorded {recorded[:80]!r}."
        )
    known = [question for question in questions if question.before is not None]
    changed = sum(question.before != question.answer for question in known) if known else None
    return Answers(len(questions), ties, changed)


def _questions(run: RunFolder, checkpoint: Checkpoint, folder: Path) -> tuple[list[Question], str]:
    """Return validation prompts with what the run answered, or why there are none."""
    sampling = checkpoint.setting(f"{ROLLOUT}.val_kwargs.temperature", 0)
    if sampling:
        return [], f"the run validated at temperature {sampling}"
    if (loop := checkpoint.setting(f"{ROLLOUT}.agent.default_agent_loop")) != "single_turn_agent":
        return [], f"the run answered in several turns ({loop})"
    recorded = run.rollouts_by_step("validation")
    if checkpoint.step not in recorded:
        return [], f"no validation was recorded at step {checkpoint.step}"
    answers = _by_prompt(recorded[checkpoint.step])
    before = _by_prompt(recorded[0]) if 0 in recorded else {}
    try:
        prompts = list(_validation_prompts(checkpoint, folder))
    except (OSError, ValueError) as error:
        return [], f"the validation data cannot be read ({str(error).splitlines()[0]})"
    found = [Question(ids, answers[text], before.get(text)) for ids, text in prompts if text in answers]
    if not found:
        return [], "no prompt of the validation data is one of the recorded, or all have pictures or tools"
    found.sort(key=lambda question: question.before == question.answer)  # stable: in the order of the data
    return found[:QUESTIONS], ""


def _by_prompt(file: Path) -> dict[str, str]:
    """Return prompt -> answer of recorded samples, both as text."""
    return {line["input"]: line["output"] for line in read_json_lines(file) if {"input", "output"} <= line.keys()}


def _validation_prompts(checkpoint: Checkpoint, folder: Path):
    """Yield (tokens, text) of the first validation prompts, made as verl's agent loop makes them.

    Source: ``verl/experimental/agent_loop/agent_loop.py``, ct_build_initial_tokens; the text is decoded as its trainer
    does for its record.
    """
    from verl.utils.dataset.rl_dataset import RLHFDataset
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    tokenizer = _tokenizer(checkpoint, folder)
    data = OmegaConf.create(OmegaConf.to_container(checkpoint.config.data, resolve=False))
    with open_dict(data):
        data.filter_overlong_prompts = False  # would look at every row
        data.tool_config_path = data.function_tool_path = None  # interpolated from outside of data
    files = checkpoint.config.data.val_files
    files = [files] if isinstance(files, str) else list(files)
    with contextlib.redirect_stdout(io.StringIO()):
        rows = RLHFDataset(files, tokenizer, data, max_samples=data.get("val_max_samples", -1))
    build = create_continuous_token_builder(
        tokenizer,
        hf_model_type=json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"],
        chat_template_kwargs=OmegaConf.to_container(data.get("apply_chat_template_kwargs") or OmegaConf.create()),
    )
    for number in range(min(len(rows), LOOKED_AT)):
        row = rows.dataframe[number]
        if any(row.get(key) for key in (rows.image_key, rows.video_key, rows.audio_key)) or "agent_name" in row:
            continue
        ids = build.build_initial_tokens(row[rows.prompt_key])
        yield ids, tokenizer.decode(ids, skip_special_tokens=True)


def _tokenizer(checkpoint: Checkpoint, folder: Path):
    from verl.utils import hf_tokenizer

    return hf_tokenizer(str(folder), trust_remote_code=bool(checkpoint.setting(f"{MODEL}.trust_remote_code")))


def _compare(recorded: str, found: dict, tokenizer, limit: int) -> str:
    """Say whether an answer is the recorded one: "same", "tie" or "other"."""
    text, ids = found["text"], found["token_ids"]
    cut = len(ids) == limit  # the engine stopped where we told it to, and perhaps not the run
    if text == recorded or (cut and recorded.startswith(text)):
        return "same"
    wanted = tokenizer.encode(recorded, add_special_tokens=False)
    at = next((i for i, (a, b) in enumerate(zip(ids, wanted, strict=False)) if a != b), min(len(ids), len(wanted)))
    if at >= len(ids):
        return "other"
    candidates = {int(token): value for token, value in found["candidates"][at].items()}
    ends = set(tokenizer.all_special_ids)
    rivals = [wanted[at]] if at < len(wanted) else [token for token in candidates if token in ends]
    close = any(candidates[ids[at]] - candidates[token] <= TIE for token in rivals if token in candidates)
    return "tie" if close else "other"


def _ask_engine(asked: dict[str, Any], folder: Path, log: Path) -> list[dict]:
    question, answer = log.with_name("question.json"), log.with_name("answer.json")
    question.write_text(json.dumps(asked), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "grpo_launchpad.export.answers", str(question), str(answer)]
    with log.open("wb") as stream:
        done = subprocess.run(command, env=_environment(), stdout=stream, stderr=stream, check=False)
    if done.returncode or not answer.is_file():
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise NotProved(f"{folder}: vLLM does not load it: {lines[-1][:300] if lines else 'it said nothing'}")
    return json.loads(answer.read_text(encoding="utf-8"))


def _environment() -> dict[str, str]:
    """Return the variables of the engine's process: on a CPU those with which the run's engine had its numbers."""
    import torch

    variables = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1"}
    if not torch.cuda.is_available():
        for each in variables_of("cpu", "fsdp"):
            variables[each.name] = each.value if isinstance(each.value, str) else each.value()
    return variables | os.environ


def _answer(asked: dict[str, Any]) -> list[dict]:
    """Answer greedily with vLLM; return the tokens, the text, and the best candidates of each step."""
    import torch
    from vllm import LLM, SamplingParams

    here = torch.cuda.device_count() if torch.cuda.is_available() else 1
    engine = LLM(
        model=asked["model"],
        trust_remote_code=asked["trust_remote_code"],
        dtype=asked["dtype"],
        max_model_len=asked["max_model_len"],
        tensor_parallel_size=max(1, min(asked["tensor_parallel_size"], here)),
        enforce_eager=True,
        seed=0,
    )
    # verl keeps the engine from tokens that the tokenizer lacks (monkey_patch_model in vllm_async_server.py)
    known = len(engine.get_tokenizer())
    padded = known < engine.llm_engine.model_config.get_vocab_size()
    sampling = SamplingParams(
        temperature=0,
        max_tokens=asked["max_tokens"],
        logprobs=CANDIDATES,
        allowed_token_ids=list(range(known)) if padded else None,
    )
    outputs = engine.generate([{"prompt_token_ids": ids} for ids in asked["prompts"]], sampling, use_tqdm=False)
    return [
        {
            "token_ids": list(output.outputs[0].token_ids),
            "text": output.outputs[0].text,
            "candidates": [
                {token: value.logprob for token, value in step.items()} for step in output.outputs[0].logprobs
            ],
        }
        for output in outputs
    ]


if __name__ == "__main__":
    read, written = map(Path, sys.argv[1:])
    written.write_text(json.dumps(_answer(json.loads(read.read_text(encoding="utf-8")))), encoding="utf-8")
