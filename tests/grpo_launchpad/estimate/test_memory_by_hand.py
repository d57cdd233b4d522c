"""Memory computed by hand, and measured by others."""

import pytest

from grpo_launchpad.estimate import fsdp, megatron, vllm
from grpo_launchpad.estimate.activations import Kernels, Split, layer_bytes
from grpo_launchpad.estimate.devices import device_of
from grpo_launchpad.estimate.fsdp import Fsdp
from grpo_launchpad.estimate.megatron import Megatron, in_flight, stage_layers
from grpo_launchpad.estimate.parts import GIB, total
from grpo_launchpad.estimate.verdict import verdict_of
from grpo_launchpad.estimate.vllm import Vllm

WEIGHTS_7B = 7_615_616_512


def sizes(parts) -> dict[str, float]:
    return {part.name: part.size for part in parts}


def test_fsdp_keeps_sixteen_bytes_a_weight_and_copies_four_in_the_optimizers_step(qwen2_7b):
    setup = Fsdp(qwen2_7b, shards=8)
    assert total(fsdp.states(setup)) == 16 * WEIGHTS_7B / 8
    assert total(fsdp.optimizer_step(setup)) == 20 * WEIGHTS_7B / 8


def test_fsdp_of_bf16_weights_halves_all_of_it(qwen2_7b):
    setup = Fsdp(qwen2_7b, shards=8, weights=2, gradients=2, moments=4)
    assert total(fsdp.states(setup)) == WEIGHTS_7B


def test_gradients_of_micro_batches_that_are_not_summed_are_whole(qwen2_7b):
    without, kept = Fsdp(qwen2_7b, shards=8), Fsdp(qwen2_7b, shards=8, accumulates=True)
    assert total(fsdp.states(kept)) - total(fsdp.states(without)) == 4 * WEIGHTS_7B


def test_an_adapter_has_no_states_of_the_base(qwen2_7b):
    setup = Fsdp(qwen2_7b, shards=1, lora_rank=8)
    # 8 times the widths of both sides of q, k, v, o, gate, up and down, in each of 28 layers
    widths = (3584 + 3584) + 2 * (3584 + 512) + (3584 + 3584) + 3 * (3584 + 18944)
    adapters = 28 * 8 * widths
    assert setup.trained == adapters
    assert sizes(fsdp.states(setup)) == {
        "weights": 4 * (WEIGHTS_7B + adapters),
        "gradients": 4 * adapters,
        "Adam's moments": 8 * adapters,
    }


def test_weights_on_the_host_leave_the_device_with_what_computes(qwen2_7b):
    assert fsdp.states(Fsdp(qwen2_7b, weights_on_host=True)) == ()


def test_logits_of_a_budget_are_its_tokens_times_the_vocabulary(qwen2_7b):
    parts = sizes(fsdp.update(Fsdp(qwen2_7b, shards=8, tokens=24_000)))
    assert parts["logits"] == 2 * 24_000 * 152_064
    assert parts["activations"] == 28 * 2 * 3584 * 24_000  # the input of each layer, in bf16


def test_fused_kernels_hold_the_logits_of_a_chunk(qwen2_7b):
    from grpo_launchpad.estimate.verl import FUSED_HEAD

    logits = sizes(fsdp.log_probabilities(Fsdp(qwen2_7b, shards=8, tokens=24_000, head=FUSED_HEAD))).get("logits", 0)
    assert logits <= FUSED_HEAD.alive * 512 * 152_064


def test_megatron_before_the_first_step_as_a_log_of_verl_has_it(qwen2_7b):
    # Qwen2-7B, TP2 x PP2 x DP2: "memory allocated 14.20 GiB" (eric-haibin-lin/verl-data)
    setup = Megatron(qwen2_7b, world=8, tp=2, pp=2, vocab_multiple=1)
    before = total(megatron.states(setup, 0, with_moments=False))
    assert before / GIB == pytest.approx(14.20, rel=0.01)


def test_megatron_without_a_distributed_optimizer_keeps_eighteen_bytes(qwen2_7b):
    setup = Megatron(qwen2_7b, world=8, tp=1, pp=1, distributed_optimizer=False, vocab_multiple=1)
    assert total(megatron.states(setup, 0)) == 18 * WEIGHTS_7B


def test_megatron_shares_optimizer_states_over_data_and_context_parallel_ranks(qwen2_7b):
    for cp in (1, 2, 4):
        setup = Megatron(qwen2_7b, world=8, cp=cp, vocab_multiple=1)
        assert total(megatron.states(setup, 0)) == pytest.approx((6 + 12 / 8) * WEIGHTS_7B)


def test_experts_are_shared_out_and_their_states_over_fewer_ranks(experts):
    setup = Megatron(experts, world=8, ep=8, vocab_multiple=1)
    weights = megatron.weights_of(setup, 0)
    assert weights.experts == 4 * 16 * 3 * 256 * 128 / 8
    assert total(megatron.states(setup, 0)) == pytest.approx(18 * weights.experts + (6 + 12 / 8) * weights.dense)


def test_a_cpu_optimizer_leaves_weights_and_gradients(qwen2_7b):
    setup = Megatron(qwen2_7b, world=1, on_host=1.0, vocab_multiple=1)
    assert total(megatron.states(setup, 0)) == 6 * WEIGHTS_7B


def test_the_first_stage_has_as_many_micro_batches_as_there_are_stages(qwen2_7b):
    setup = Megatron(qwen2_7b, world=4, pp=4, micro_batches=8)
    assert [in_flight(setup, stage) for stage in range(4)] == [4, 3, 2, 1]
    assert in_flight(Megatron(qwen2_7b, world=4, pp=4, micro_batches=2), 0) == 2


def test_interleaving_keeps_more_in_flight(qwen2_7b):
    setup = Megatron(qwen2_7b, world=4, pp=4, vpp=7, micro_batches=8)
    # Narayanan et al. 2021: 1 + (p - 1) / (p v) of the first stage's p micro batches
    assert in_flight(setup, 0) == pytest.approx(4 * (1 + 3 / (4 * 7)))
    assert sum(len(layers) for layers in stage_layers(setup)) == 28


def test_uneven_stages_have_the_layers_that_are_asked_for(qwen2_7b):
    setup = Megatron(qwen2_7b, world=4, pp=4, first_layers=6, last_layers=4)
    assert [len(layers) for layers in stage_layers(setup)] == [6, 9, 9, 4]


def test_embedding_and_loss_can_count_as_layers(qwen2_7b):
    setup = Megatron(qwen2_7b.with_layers(6), world=4, pp=4, extra_layers=2)
    assert [len(layers) for layers in stage_layers(setup)] == [1, 2, 2, 1]


def test_a_dense_layer_without_recomputation_as_counted_by_hand(qwen2_7b):
    layer = qwen2_7b.layers[0]
    # normalised twice and the stream twice: 4 x 2 x 3584; q, k, v and output; one number a head; gate, up, product
    each = 4 * 2 * 3584 + 2 * (3584 + 512 + 512 + 3584) + 4 * 28 + 2 * 3 * 18944
    assert layer_bytes(qwen2_7b, layer, Kernels(), Split()) == each
    halved = layer_bytes(qwen2_7b, layer, Kernels(), Split(tensor=2, sequence=2))
    assert halved == each / 2


def test_attention_without_flash_keeps_its_scores(qwen2_7b):
    layer = qwen2_7b.layers[0]
    flash = layer_bytes(qwen2_7b, layer, Kernels(), Split())
    scores = layer_bytes(qwen2_7b, layer, Kernels(scores=1024), Split())
    assert scores - flash == 28 * 1024 * 2 - 28 * 4


@pytest.mark.parametrize(("tensor", "tokens"), [(1, 57_344), (2, 28_672), (4, 14_336), (8, 14_336)])
def test_a_head_of_keys_is_on_one_device_at_least(qwen2_7b, tensor, tokens):
    assert vllm.cache_bytes_per_token(Vllm(qwen2_7b, tensor=tensor)) == tokens


def test_an_engine_as_its_log_has_it():
    # Qwen2.5-32B on two L40S (vllm-project/vllm): 30.71 GiB of weights, 7.71 of cache, 63,152 tokens
    from grpo_launchpad.architectures import published
    from grpo_launchpad.estimate.architecture import shape_of

    engine = Vllm(shape_of(published("qwen2.5-32b").config), tensor=2, share=0.9, eager=True)
    memory = round(44.42 * GIB)
    assert vllm.weights(engine) / GIB == pytest.approx(30.71, rel=0.02)
    assert vllm.cache(engine, memory) / vllm.cache_bytes_per_token(engine) == pytest.approx(63_152, rel=0.03)


def test_an_engine_that_has_no_room_for_its_weights_says_how_much_is_missing(qwen2_7b):
    engine = Vllm(qwen2_7b, share=0.3)
    assert vllm.cache(engine, device_of("A100-40").memory) < 0
    assert "KV cache" not in sizes(vllm.pool(engine, device_of("A100-40").memory))


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (50, 90, "fits"),
        (50, 91, "tight"),
        (110, 110, "tight"),
        (50, 500, "tight"),
        (112, 112, "does not fit"),
    ],
)
def test_a_verdict_needs_more_than_the_error_of_the_estimate(low, high, word):
    said = verdict_of(low, high, memory=100, band=0.1)
    assert said.word == word
    assert said.margin == 100 - high
