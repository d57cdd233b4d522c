"""The agent loop of the CPU platform: fewer calls, the same rows."""

import asyncio
import inspect

import pytest
import torch
import transfer_queue
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.trainer.ppo.v1 import agent_loop_tq

from grpo_launchpad.platforms.cpu_agent_loop import GroupedPuts, LeanAgentLoopWorker


@pytest.fixture
def stored(monkeypatch):
    """TransferQueue's put, which here takes a while and keeps its calls, each a list of (partition, key, tag, row)."""
    calls = []

    async def put(*, keys, fields, tags, partition_id):
        await asyncio.sleep(0.01)
        if "refused" in keys:
            raise RuntimeError("no room")
        count = len(keys)
        rows = (
            [None] * count if fields is None else [{n: fields[n][i] for n in fields.sorted_keys} for i in range(count)]
        )
        calls.append(list(zip([partition_id] * count, keys, tags, rows, strict=True)))

    monkeypatch.setattr(transfer_queue, "async_kv_batch_put", put)
    return calls


def sample(number):
    return {"responses": torch.arange(number % 3 + 1), "uid": f"prompt {number}", "reward": float(number)}


async def put_samples(puts, numbers, partition="train"):
    await asyncio.gather(
        *(
            puts.async_kv_batch_put(keys=[f"{n}"], fields=[sample(n)], tags=[{"n": n}], partition_id=partition)
            for n in numbers
        )
    )


def test_puts_that_meet_go_together_and_every_row_is_there(stored):
    asyncio.run(put_samples(GroupedPuts(), range(50)))
    assert len(stored) <= 2
    rows = [row for call in stored for row in call]
    assert [(partition, key, tag) for partition, key, tag, _ in rows] == [
        ("train", f"{n}", {"n": n}) for n in range(50)
    ]
    for n, (_, _, _, row) in enumerate(rows):
        assert row["responses"].tolist() == sample(n)["responses"].tolist()
        assert (row["uid"], row["reward"]) == (f"prompt {n}", n)


def test_tags_and_rows_and_partitions_are_not_mixed(stored):
    async def put():
        puts = GroupedPuts()
        await asyncio.gather(
            puts.async_kv_put(key="prompt", partition_id="train", tag={"status": "running"}),
            put_samples(puts, [1, 2]),
            put_samples(puts, [3], "val"),
        )
        await puts.async_kv_put(key="prompt", partition_id="train", tag={"status": "finished"})

    asyncio.run(put())
    assert [[row[:2] for row in call] for call in stored] == [
        [("train", "prompt")],
        [("train", "1"), ("train", "2")],
        [("val", "3")],
        [("train", "prompt")],
    ]
    assert [call[0][2]["status"] for call in (stored[0], stored[-1])] == ["running", "finished"]


def test_a_put_that_fails_fails_for_those_who_wait_for_it_and_no_other(stored):
    async def put():
        puts = GroupedPuts()
        with pytest.raises(RuntimeError, match="no room"):
            await puts.async_kv_put(key="refused", partition_id="train", tag={})
        await put_samples(puts, [1])

    asyncio.run(put())
    assert [row[1] for call in stored for row in call] == ["1"]


def test_anything_else_is_transfer_queues_own():
    assert GroupedPuts().async_kv_list is transfer_queue.async_kv_list


def test_verl_still_composes_with_hydra_for_each_sample_and_puts_each_alone():
    """When it does not, LeanAgentLoopWorker is no longer needed."""
    assert "hydra.utils.instantiate(" in inspect.getsource(AgentLoopWorker._run_agent_loop)
    put = inspect.getsource(LeanAgentLoopWorker._agent_loop_postprocess)
    assert "await tq.async_kv_batch_put(" in put
    assert "fields=list_of_dict_to_tensordict(fields)" in put
    assert agent_loop_tq.tq is transfer_queue  # replaced in the worker's process alone
