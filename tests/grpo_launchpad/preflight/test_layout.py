"""Which parallel layouts are refused, and that what is suggested instead is accepted."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grpo_launchpad.architectures import Architecture, published
from grpo_launchpad.launch.knobs import knob_of
from grpo_launchpad.preflight.compose import compose
from grpo_launchpad.preflight.layout import (
    DIVISIONS,
    KEYS,
    TRANSFORMER,
    Layout,
    Model,
    _with,
    check_layout,
    layout_of,
    mended,
    violations,
)

NODE = {"gpus_per_node": 8, "train_batch": 1024, "mini_batch": 256, "group": 8}
FSDP = Layout("fsdp", **NODE)
MEGATRON = Layout("megatron", **NODE)
DENSE = Model.of(published("qwen2-7b"))  # 28 heads, 4 for keys and values, 28 layers
MOE = Model.of(published("qwen3-30b-a3b"))  # 32 heads, 4 for keys and values, 48 layers, 128 experts
LATENT = Model.of(published("deepseek-v3-671b"))  # 128 heads, 61 layers, 256 experts


def problems_of(layout, model=DENSE):
    return [violation.what for _, violation in violations(layout, model)]


@pytest.mark.parametrize(
    ("layout", "model"),
    [
        (FSDP, DENSE),
        (replace(FSDP, fsdp_size=8), DENSE),
        (replace(FSDP, fsdp_size=16), DENSE),  # all, if it is more than there are
        (replace(FSDP, fsdp_size=2, sp=4, ref_sp=4), DENSE),
        (replace(FSDP, sp=8, ref_sp=8), MOE),  # 8 share 4 key-value heads: each head twice
        (replace(FSDP, rollout_tp=4), DENSE),
        (replace(FSDP, nodes=2, rollout_tp=16, mini_batch=128), MOE),  # an engine over two machines
        (replace(FSDP, sp=2, ref_sp=3), DENSE),  # the reference model is not used
        (replace(FSDP, rollout_engine="trtllm", rollout_tp=4, rollout_ep=2), MOE),
        (replace(FSDP, rollout_engine="sglang", rollout_tp=8), DENSE),  # its own rules about heads are not known here
        (replace(FSDP, shares_gpus=False, rollout_tp=16), Model()),
        (MEGATRON, DENSE),
        (replace(MEGATRON, tp=4, pp=2), DENSE),
        (replace(MEGATRON, tp=2, pp=2, vpp=7), DENSE),
        (replace(MEGATRON, tp=8), MOE),
        (replace(MEGATRON, ep=8, etp=1), MOE),
        (replace(MEGATRON, tp=4, ep=8, etp=1), MOE),
        (replace(MEGATRON, nodes=12, tp=8, pp=12, ep=8, etp=1, first_stage=5, last_stage=6, rollout_tp=32), LATENT),
        (replace(MEGATRON, nodes=12, tp=8, pp=12, ep=8, etp=1, last_stage=6, rollout_tp=32), LATENT),
        (replace(MEGATRON, nodes=2, pp=16, own_pipeline=True), LATENT),
        (replace(MEGATRON, pp=2, extra_layers=2), DENSE),
        (replace(MEGATRON, cp=2, remove_padding=False), DENSE),
        (replace(MEGATRON, cp=2, dynamic_cp=True, mini_batch=1, group=3), DENSE),
    ],
)
def test_a_layout_that_works_is_accepted(layout, model):
    assert problems_of(layout, model) == []


@pytest.mark.parametrize(
    ("layout", "model", "what", "mend"),
    [
        (replace(FSDP, sp=3, ref_sp=3), DENSE, "8 devices cannot be split into groups of 3", ("sp", 2)),
        (replace(FSDP, sp=8, ref_sp=8), DENSE, "28 attention heads cannot be split over 8", ("sp", 4)),
        (replace(FSDP, sp=2, remove_padding=False), DENSE, "without padding", ("sp", 1)),
        (replace(FSDP, fsdp_size=3), DENSE, "groups of 3 that share one copy", ("fsdp_size", 2)),
        (replace(FSDP, fsdp_size=0), DENSE, "groups of 0 that share one copy", ("fsdp_size", -1)),
        (replace(FSDP, sp=2, ref_sp=3, has_reference=True), DENSE, "groups of 3", ("ref_sp", 2)),
        (replace(FSDP, gpus_per_node=1, rollout_tp=2), DENSE, "rollout engines of TP 2", ("rollout_tp", 1)),
        (replace(FSDP, rollout_tp=8), DENSE, "28 attention heads", ("rollout_tp", 4)),
        (replace(FSDP, nodes=7, train_batch=112, mini_batch=56, rollout_tp=7), DENSE, "4 key-value", ("rollout_tp", 4)),
        (replace(FSDP, rollout_tp=4, rollout_dp=2, rollout_ep=4), MOE, "TP x DP = 8", ("rollout_ep", 1)),
        (replace(FSDP, rollout_tp=2, rollout_ep=2), DENSE, "no experts", ("rollout_ep", 1)),
        (replace(FSDP, rollout_pp=2), DENSE, "no pipeline stages", ("rollout_pp", 1)),
        (replace(FSDP, nodes=3, rollout_tp=12), Model(), "no whole number of machines", ("rollout_tp", 8)),
        (replace(FSDP, nodes=3, rollout_tp=3, rollout_dp=8), Model(), "split by rollout TP 3", ("rollout_dp", 2)),
        (replace(FSDP, mini_batch=100), DENSE, "100 does not divide", ("mini_batch", 128)),
        (replace(FSDP, mini_batch=1, group=5), DENSE, "= 5 cannot be split over 8", ("mini_batch", 8)),
        (replace(FSDP, train_batch=1, mini_batch=1, group=5), DENSE, "= 5 cannot be split over 8", ("group", 8)),
        (replace(MEGATRON, tp=3, pp=2), DENSE, "TP 3 x PP 2 x CP 1 = 6", ("tp", 2)),
        (replace(MEGATRON, tp=8), DENSE, "28 attention heads", ("tp", 4)),
        (replace(MEGATRON, pp=8), DENSE, "28 layers cannot be shared out to 8", ("pp", 4)),
        (replace(MEGATRON, pp=2, vpp=4), DENSE, "14 layers cannot be split into 4", ("vpp", 2)),
        (replace(MEGATRON, vpp=2), DENSE, "need more than one stage", ("pp", 2)),
        (replace(MEGATRON, ep=2), DENSE, "no experts", ("ep", 1)),
        (replace(MEGATRON, tp=2, ep=8), MOE, "EP 8 x ETP 2 (verl's default: TP)", ("etp", 1)),
        (
            replace(MEGATRON, gpus_per_node=6, mini_batch=64, group=6, ep=3, etp=1),
            MOE,
            "128 experts cannot be split over 3",
            ("ep", 2),
        ),
        (replace(MEGATRON, nodes=12, tp=8, pp=12), LATENT, "61 layers cannot be shared out to 12", ("pp", 1)),
        (replace(MEGATRON, nodes=12, tp=8, pp=12, last_stage=5), LATENT, "56 layers", ("last_stage", 6)),
        (replace(MEGATRON, pp=2, first_stage=14, last_stage=13), DENSE, "1 layers", ("last_stage", 14)),
        (replace(MEGATRON, cp=2, remove_padding=False), replace(MOE, family="qwen3_vl_moe"), "padding", ("cp", 1)),
        (replace(MEGATRON, per_token_loss=True, remove_padding=False), DENSE, "without padding", None),
    ],
)
def test_an_impossible_layout_gets_the_nearest_that_works(layout, model, what, mend):
    ((rule, violation),) = violations(layout, model)
    assert what in violation.what
    assert mended(rule, violation, layout, model) == mend


def test_a_model_that_is_not_known_breaks_no_rule_about_its_dimensions():
    assert problems_of(replace(MEGATRON, tp=8), Model()) == []
    assert Model.of(None) == Model() == Model.of(Architecture("mine", (), {}, "config.json", None))


def test_latent_attention_has_no_key_value_heads_to_split():
    config = {"num_attention_heads": 16, "num_key_value_heads": 3, "num_hidden_layers": 4, "kv_lora_rank": 8}
    latent = Model.of(Architecture("mine", (), config, "config.json", None))
    assert problems_of(replace(MEGATRON, tp=8, rollout_tp=8), latent) == []


sizes = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 12, 16])
models = st.sampled_from([DENSE, MOE, LATENT, Model()])
numbers = {
    "nodes": st.integers(1, 4),
    "gpus_per_node": st.sampled_from([1, 2, 4, 6, 8]),
    "train_batch": st.sampled_from([8, 24, 64, 100]),
    "mini_batch": st.sampled_from([2, 4, 8, 10, 12, 64]),
    "group": st.integers(2, 9),
    "rollout_tp": sizes,
    "rollout_dp": st.sampled_from([1, 1, 2, 3]),
    "rollout_ep": sizes,
    "has_reference": st.booleans(),
}
unset_or = st.none() | sizes
fsdp_layouts = st.builds(
    Layout, engine=st.just("fsdp"), sp=sizes, ref_sp=sizes, fsdp_size=st.integers(-1, 9), **numbers
)
megatron_layouts = st.builds(
    Layout, engine=st.just("megatron"), tp=sizes, pp=sizes, cp=sizes, ep=sizes, etp=unset_or, vpp=unset_or, **numbers
)


@settings(max_examples=150, deadline=None)
@given(fsdp_layouts | megatron_layouts, models)
def test_what_is_suggested_is_accepted(layout, model):
    """After it, the same numbers are not at fault again, and GPUs that did divide still do."""
    broken = violations(layout, model)
    assume(broken)
    for rule, violation in broken:
        mend = mended(rule, violation, layout, model)
        if mend is not None:
            assert mend[0] in violation.numbers
            changed = _with(layout, *mend)
            again = {number for other in rule(changed, model) for number in other.numbers}
            assert not again & set(violation.numbers)
            divided = {other for other in DIVISIONS if not list(other(layout, model))}
            assert all(not list(other(changed, model)) for other in divided)


@settings(max_examples=300, deadline=None)
@given(fsdp_layouts | megatron_layouts, models)
def test_an_accepted_layout_divides_everything(layout, model):
    """The same rules, written a second time as plain arithmetic."""
    accepted = not violations(layout, model)
    world = layout.nodes * layout.gpus_per_node
    replica = layout.rollout_tp * layout.rollout_dp
    local = min(replica, layout.gpus_per_node)
    good = [world % replica == 0, replica % local == 0, layout.rollout_ep in (1, replica)]
    good += [layout.train_batch % layout.mini_batch == 0]
    if layout.rollout_dp > 1:
        good += [local % layout.rollout_tp == 0]
    shared = [layout.rollout_tp]
    if layout.engine == "fsdp":
        parts = [(layout.sp, layout.fsdp_size)] + [(layout.ref_sp, layout.ref_fsdp_size)] * layout.has_reference
        for sequence, shard in parts:
            good += [world % sequence == 0, shard < 0 or shard >= world or (shard > 0 and world % shard == 0)]
            shared.append(sequence)
        groups = world // layout.sp
    else:
        good += [world % (layout.tp * layout.pp * layout.cp) == 0]
        good += [world % (layout.ep * (layout.etp or layout.tp) * layout.pp) == 0]
        good += [layout.vpp is None or layout.pp > 1]
        shared.append(layout.tp)
        if model.layers:
            good += [model.layers % (layout.pp * (layout.vpp or 1)) == 0 or layout.vpp is not None and layout.pp == 1]
        if model.experts is not None:
            good += [layout.ep == 1 or (model.experts > 0 and model.experts % layout.ep == 0)]
        groups = world // (layout.tp * layout.pp * layout.cp)
    good += [groups > 0 and layout.mini_batch * layout.group % groups == 0]
    if model.experts == 0:
        good += [layout.rollout_ep == 1]
    for size in shared:
        good += [model.heads is None or model.heads % size == 0]
        heads = model.key_value_heads
        good += [heads is None or heads % size == 0 or size % heads == 0]
    assert accepted == all(good)


MODEL = "actor_rollout_ref.model"


@pytest.fixture(scope="module")
def of():
    """The problems of overrides beside those that every launch needs, with a published model."""

    def problems(*overrides, model="qwen2-7b"):
        common = ["actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.n=8"]
        return check_layout(compose([*common, *overrides]), published(model))

    return problems


def test_a_layout_is_read_from_every_key(of):
    for engine, unused in (("dp", "megatron"), ("megatron", "fsdp_config")):
        names = {name for name, keys in KEYS.items() if unused not in keys[0]}
        values = {name: number for number, name in enumerate(sorted(names), start=2)}
        overrides = [f"++{KEYS[name][0]}={value}" for name, value in values.items()]
        layout = layout_of(compose([f"model_engine={engine}", "actor_rollout_ref.rollout.name=vllm", *overrides]))
        assert {name: getattr(layout, name) for name in names} == values


def test_the_older_key_of_ulysses_counts_for_both_models(of):
    layout = layout_of(compose(["actor_rollout_ref.actor.ulysses_sequence_parallel_size=4"]))
    assert (layout.sp, layout.ref_sp) == (4, 4)


def test_the_fix_is_a_knob_where_there_is_one(of):
    (problem,) = of("model_engine=megatron", f"{KEYS['tp'][0]}=3")
    assert (problem.where, problem.fix) == (KEYS["tp"][0], "set ACTOR_TP=2")
    (problem,) = of(f"{KEYS['rollout_pp'][0]}=2")
    assert problem.fix == f"add ++{KEYS['rollout_pp'][0]}=1"


def test_the_reference_model_counts_only_if_it_is_a_model_of_its_own(of):
    wrong = f"{KEYS['ref_sp'][0]}=3"
    assert of(wrong) == []
    assert [problem.where for problem in of(wrong, "actor_rollout_ref.actor.use_kl_loss=True")] == [KEYS["ref_sp"][0]]
    assert of(wrong, "actor_rollout_ref.actor.use_kl_loss=True", f"{MODEL}.lora_rank=8") == []


def test_a_pipeline_that_the_user_lays_out_is_left_alone(of):
    pipeline = ("model_engine=megatron", f"{KEYS['pp'][0]}=8")
    assert "28 layers" in of(*pipeline)[0].what
    assert of(*pipeline, f"++{TRANSFORMER}.pipeline_model_parallel_layout='Et*4|t*4'") == []
    assert of(*pipeline, f"++{TRANSFORMER}.num_layers_in_first_pipeline_stage=7") == []


def test_a_model_with_other_dimensions_than_published_is_not_judged_by_those(of):
    wrong = f"{KEYS['rollout_tp'][0]}=8"
    assert "28 attention heads" in of(wrong)[0].what
    assert "28 attention heads" in of(wrong, f"++{MODEL}.override_config.attn_implementation=sdpa")[0].what
    assert of(wrong, f"++{MODEL}.override_config.num_attention_heads=32") == []


@pytest.mark.parametrize("mode", [("trainer.v1.trainer_mode=separate_async",), ("disaggregation",)])
def test_a_rollout_engine_with_gpus_of_its_own_need_not_divide_the_trainers(of, mode):
    wrong = f"{KEYS['rollout_tp'][0]}=5"
    assert of(wrong)[0].where == KEYS["rollout_tp"][0]
    own = "actor_rollout_ref.rollout.disaggregation.enabled=True" if mode == ("disaggregation",) else mode[0]
    assert not [problem for problem in of(wrong, own) if "rollout engines" in problem.what]


def test_every_number_has_keys_that_verl_has():
    for engine, backend in (("dp", "fsdp"), ("megatron", "megatron")):
        unused = "megatron" if backend == "fsdp" else "fsdp_config"
        keys = [key for keys in KEYS.values() for key in keys if unused not in key and TRANSFORMER not in key]
        keys = [key for key in keys if not (backend == "megatron" and key.endswith("ulysses_sequence_parallel_size"))]
        compose([f"model_engine={engine}", *(f"{key}=1" for key in keys)])
    assert knob_of(KEYS["tp"][0], "megatron").name == "ACTOR_TP"
