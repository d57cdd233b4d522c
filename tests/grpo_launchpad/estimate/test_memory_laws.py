"""What must hold whatever the numbers are."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.estimate import fsdp, megatron, vllm
from grpo_launchpad.estimate.architecture import Shape, shape_of
from grpo_launchpad.estimate.fsdp import Fsdp
from grpo_launchpad.estimate.megatron import Megatron
from grpo_launchpad.estimate.parts import total
from grpo_launchpad.estimate.vllm import Vllm

POWERS = st.sampled_from([1, 2, 4, 8])


@st.composite
def shapes(draw) -> Shape:
    heads = draw(st.sampled_from([8, 16, 32]))
    fields = {
        "num_hidden_layers": draw(st.sampled_from([8, 16, 24])),
        "hidden_size": heads * 64,
        "intermediate_size": draw(st.sampled_from([512, 2048, 4096])),
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": draw(st.sampled_from([32000, 151936])),
        "tie_word_embeddings": draw(st.booleans()),
    }
    family = draw(st.sampled_from(["llama", "qwen3", "qwen3_moe"]))
    if family == "qwen3_moe":
        fields |= {"num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 256}
    return shape_of({"model_type": family, **fields})


@st.composite
def fsdp_setups(draw) -> Fsdp:
    return Fsdp(
        draw(shapes()),
        version=draw(st.sampled_from([1, 2])),
        shards=draw(POWERS),
        tokens=draw(st.integers(1, 65536)),
        recompute=draw(st.sampled_from(["none", "full", "selective"])),
        lora_rank=draw(st.sampled_from([0, 16])),
        accumulates=draw(st.booleans()),
    )


@st.composite
def megatron_setups(draw) -> Megatron:
    tp, pp, vpp = draw(POWERS), draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 2]))
    return Megatron(
        draw(shapes()),
        world=tp * pp * draw(POWERS),
        tp=tp,
        pp=pp,
        vpp=vpp if pp > 1 else 1,
        tokens=draw(st.integers(1, 32768)),
        micro_batches=draw(st.integers(1, 16)),
        recompute=draw(st.sampled_from(["none", "full", "selective"])),
        recomputed=frozenset(draw(st.sets(st.sampled_from(["layernorm", "mlp", "moe_act", "moe"])))),
        sequence_parallel=draw(st.booleans()),
        distributed_optimizer=draw(st.booleans()),
    )


def fsdp_peak(setup: Fsdp) -> float:
    return total(fsdp.peak(setup))


def megatron_peak(setup: Megatron) -> float:
    return max(total(megatron.update(setup, stage)) for stage in range(setup.pp))


@settings(max_examples=60, deadline=None)
@given(fsdp_setups(), st.integers(1, 4096))
def test_more_tokens_or_layers_never_take_less_under_fsdp(setup, more):
    deeper = replace(setup, shape=setup.shape.with_layers(len(setup.shape.layers) + 4))
    assert fsdp_peak(replace(setup, tokens=setup.tokens + more)) >= fsdp_peak(setup)
    assert fsdp_peak(deeper) > fsdp_peak(setup)


@settings(max_examples=60, deadline=None)
@given(fsdp_setups())
def test_more_shards_never_take_more(setup):
    more = replace(setup, shards=2 * setup.shards)
    assert total(fsdp.states(more)) <= total(fsdp.states(setup))
    assert fsdp_peak(more) <= fsdp_peak(setup)


@settings(max_examples=60, deadline=None)
@given(fsdp_setups())
def test_recomputing_never_takes_more_at_the_head(setup):
    none = replace(setup, recompute="none")
    full = replace(setup, recompute="full")
    assert fsdp.kept(full) <= fsdp.kept(replace(setup, recompute="selective")) <= 2 * fsdp.kept(none)
    assert fsdp.kept(replace(full, activations_on_host=True)) <= fsdp.kept(full)


@settings(max_examples=60, deadline=None)
@given(megatron_setups(), st.integers(1, 4096))
def test_more_tokens_layers_or_micro_batches_never_take_less_on_megatron(setup, more):
    deeper = replace(setup, shape=setup.shape.with_layers(len(setup.shape.layers) + 8))
    assert megatron_peak(replace(setup, tokens=setup.tokens + more)) >= megatron_peak(setup)
    assert megatron_peak(replace(setup, micro_batches=setup.micro_batches + 1)) >= megatron_peak(setup)
    assert megatron_peak(deeper) > megatron_peak(setup)


@settings(max_examples=60, deadline=None)
@given(megatron_setups())
def test_stages_have_all_layers_and_all_weights(setup):
    stages = megatron.stage_layers(setup)
    assert sum(map(len, stages)) == len(setup.shape.layers)
    exact = replace(setup, tp=1, world=setup.pp, vocab_multiple=1)
    held = sum(megatron.weights_of(exact, stage).all for stage in range(setup.pp))
    copies = setup.shape.embedding if setup.shape.tied and setup.pp > 1 else 0
    assert held == setup.shape.total + copies


@settings(max_examples=60, deadline=None)
@given(megatron_setups())
def test_more_data_parallel_ranks_never_take_more(setup):
    more = replace(setup, world=2 * setup.world)
    for stage in range(setup.pp):
        assert total(megatron.states(more, stage)) <= total(megatron.states(setup, stage))


@settings(max_examples=60, deadline=None)
@given(shapes(), POWERS, st.floats(0.05, 0.95))
def test_an_engine_with_more_devices_or_a_larger_share_has_a_larger_cache(shape, tensor, share):
    memory = 80 * 2**30
    engine = Vllm(shape, tensor=tensor, share=share)
    wider = replace(engine, tensor=2 * tensor)
    assert vllm.weights(wider) <= vllm.weights(engine)
    assert vllm.cache(wider, memory) >= vllm.cache(engine, memory)
    assert vllm.cache(replace(engine, share=share + 0.02), memory) > vllm.cache(engine, memory)
