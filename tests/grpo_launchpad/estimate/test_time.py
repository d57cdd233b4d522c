"""Seconds of passes, rollouts and transfers: against counts by hand, and how they have to move."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.architectures import published
from grpo_launchpad.estimate import time
from grpo_launchpad.estimate.architecture import shape_of
from grpo_launchpad.estimate.devices import DEVICES, device_of
from grpo_launchpad.estimate.time import FLOOR, REACHED, Batch, Responses, Rollout, Trainer

QWEN = shape_of(published("qwen2.5-7b").config)
MOE = shape_of(published("qwen3-30b-a3b").config)
H100 = device_of("H100")
TRAINER = Trainer(QWEN, H100, devices=8, recompute=1.0)
BATCH = Batch(tokens=1_000_000, length=1000, micro_tokens=16384)
ENGINE = Rollout(QWEN, H100, devices=8, tp=2)
RESPONSES = Responses(count=5120, prompts=1024, prompt=100, response=300, longest=1024)


def test_the_floor_of_training_is_its_arithmetic_at_the_peak():
    # 6 operations a weight and token, 2 more of a layer's for recomputing; attention's on top.
    layers = sum(layer.active - layer.norms for layer in QWEN.layers)
    matrices = 8 * layers + 6 * QWEN.hidden * QWEN.vocab
    attention = (1 + 1 + 2.5) * sum(2 * 500 * 2 * layer.v_width for layer in QWEN.layers)
    expected = (matrices + attention) * BATCH.tokens / 8 / H100.flops
    found = time.train_seconds(TRAINER, BATCH, FLOOR)
    assert expected < found < 1.35 * expected  # elementwise kernels at full bandwidth are the rest


def test_the_floor_of_decoding_is_the_bandwidth():
    one = Responses(count=1, prompts=1, prompt=1, response=2048, longest=2048)
    found = time.rollout_seconds(Rollout(QWEN, H100), one, FLOOR)
    read = 2 * (QWEN.total - QWEN.embedding) + 2048 / 2 * 57344  # weights, and half of the cache on average
    assert found == pytest.approx(2048 * read / H100.bandwidth, rel=0.01)


@pytest.mark.parametrize(
    ("name", "tp", "bytes_of_a_token"),
    [
        ("qwen2.5-7b", 1, 57344),
        ("qwen2.5-7b", 2, 28672),
        ("qwen2.5-7b", 8, 14336),  # four heads of keys on eight devices: each has one
        ("qwen3-8b", 1, 147456),
        ("llama3.1-8b", 1, 131072),
        ("qwen3-30b-a3b", 1, 98304),
        ("deepseek-v3-671b", 1, 61 * 576 * 2),
    ],
)
def test_the_cache_of_a_token(name, tp, bytes_of_a_token):
    assert time.cache_bytes_per_token(shape_of(published(name).config), tp) == bytes_of_a_token


def test_an_estimate_is_never_below_its_floor():
    for device in DEVICES:
        for shape in (QWEN, MOE):
            trainer = replace(TRAINER, shape=shape, device=device)
            assert time.train_seconds(trainer, BATCH) > time.train_seconds(trainer, BATCH, FLOOR)
            assert time.forward_seconds(trainer, BATCH) > time.forward_seconds(trainer, BATCH, FLOOR)
            engine = replace(ENGINE, shape=shape, device=device)
            assert time.rollout_seconds(engine, RESPONSES) > time.rollout_seconds(engine, RESPONSES, FLOOR)
            assert time.sync_seconds(shape, device) > time.sync_seconds(shape, device, FLOOR)


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.floats(1e4, 1e7),
    length=st.floats(16, 32768),
    micro=st.floats(512, 65536),
    updates=st.integers(1, 8),
    factor=st.floats(1.0, 4.0),
)
def test_more_work_takes_longer(tokens, length, micro, updates, factor):
    batch = Batch(tokens, length, micro, updates)
    base = time.train_seconds(TRAINER, batch)
    for more in (
        replace(batch, tokens=tokens * factor),
        replace(batch, length=length * factor),
        replace(batch, padded=factor),
        replace(batch, updates=updates + 1),
    ):
        assert time.train_seconds(TRAINER, more) >= base * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 20000),
    response=st.floats(1, 8000),
    rest=st.floats(1, 10),
    places=st.integers(1, 2048),
    factor=st.floats(1.0, 4.0),
)
def test_more_to_generate_takes_longer_and_more_places_do_not(count, response, rest, places, factor):
    responses = Responses(count, max(1, count / 8), 100, response, response * rest)
    engine = replace(ENGINE, max_sequences=places)
    base = time.rollout_seconds(engine, responses)
    assert time.rollout_seconds(engine, replace(responses, longest=responses.longest * factor)) >= base * (1 - 1e-9)
    assert time.rollout_seconds(engine, replace(responses, prompts=responses.prompts * factor)) >= base * (1 - 1e-9)
    assert time.rollout_seconds(replace(engine, engine_factor=factor), responses) >= base * (1 - 1e-9)


@pytest.mark.parametrize(
    "slower",
    [
        replace(TRAINER, device=device_of("A100-80")),
        replace(TRAINER, devices=4),
        replace(TRAINER, offloads_optimizer=True),
        replace(TRAINER, device=replace(H100, link=1e9)),
        replace(TRAINER, lora_rank=0, recompute=2.0),
    ],
)
def test_a_slower_machine_takes_longer(slower):
    assert time.train_seconds(slower, BATCH) > time.train_seconds(TRAINER, BATCH)


def test_adapters_and_lean_kernels_save_time():
    assert time.train_seconds(replace(TRAINER, lora_rank=32), BATCH) < time.train_seconds(TRAINER, BATCH)
    assert time.train_seconds(replace(TRAINER, lean=True), BATCH) < time.train_seconds(TRAINER, BATCH)


def test_pipeline_bubbles_shrink_with_micro_batches_and_with_virtual_stages():
    def share(vpp, micro_tokens):
        staged = Trainer(QWEN, H100, devices=4, sharded=False, pp=4, vpp=vpp, lean=True)
        batch = Batch(tokens=65536, length=1000, micro_tokens=micro_tokens)
        one = time.train_seconds(replace(staged, pp=1, vpp=1, devices=1), batch, FLOOR) / 4
        return time.train_seconds(staged, batch, FLOOR) / one

    assert share(1, 16384) == pytest.approx(1 + 3 / 4, rel=0.02)
    assert share(1, 4096) == pytest.approx(1 + 3 / 16, rel=0.02)
    assert share(4, 16384) == pytest.approx(1 + 3 / 16, rel=0.02)


def test_a_decoding_step_of_few_sequences_reads_few_experts():
    one = Responses(count=1, prompts=1, prompt=1, response=100, longest=100)
    many = Responses(count=512, prompts=1, prompt=1, response=100, longest=100)
    engine = Rollout(MOE, H100)
    few = time.rollout_seconds(engine, one, FLOOR)
    assert few == pytest.approx(100 * 2 * (MOE.active + 0) / H100.bandwidth, rel=0.05)
    assert time.rollout_seconds(engine, many, FLOOR) > 100 * 2 * 0.95 * MOE.total / H100.bandwidth


def test_sequences_that_wait_for_a_place_take_more_steps():
    narrow = replace(ENGINE, cache_bytes=2e9)
    assert time.rollout_seconds(narrow, RESPONSES) > 1.5 * time.rollout_seconds(ENGINE, RESPONSES)


def test_saving_is_shared_by_machines_and_small_for_adapters():
    whole = time.save_seconds(replace(TRAINER, devices=8))
    assert time.save_seconds(replace(TRAINER, devices=16)) == pytest.approx(whole / 2)
    assert time.save_seconds(replace(TRAINER, lora_rank=32)) < whole / 5
    assert REACHED.storage < FLOOR.storage
