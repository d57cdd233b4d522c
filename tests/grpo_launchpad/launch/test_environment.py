"""What the environment says of a launch: flags, knobs under all their names, and what it says in vain."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_launchpad.launch.environment import ELSEWHERE, FLAGS, PLACES, UserError, read_environment
from grpo_launchpad.launch.knobs import read_knobs
from grpo_launchpad.launch.launchers import FOLDER
from grpo_launchpad.launch.plan import Source, make_plan

# What shells, schedulers, containers, drivers, libraries and other people's scripts set.
ORDINARY = Path(__file__).with_name("ordinary_names.txt").read_text().split()
LAUNCHER = FOLDER / "run_qwen2-7b_fsdp_gsm8k.sh"
NODES = "trainer.nnodes"


def knobs_given(variables, engine="fsdp", cluster_names=()):
    found = read_environment(variables, engine, cluster_names).knobs
    return {name: each.value for name, each in found.items()}


def refusal(variables, engine="fsdp", cluster_names=()):
    with pytest.raises(UserError) as caught:
        read_environment(variables, engine, cluster_names)
    return str(caught.value)


@pytest.mark.parametrize("value", ["1", "true", "True", "TRUE", "yes", "YES", "on", " 1 "])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_can_be_said_in_several_words(flag, value):
    assert read_environment({flag: value}, "fsdp").flags[flag] is True


@pytest.mark.parametrize("value", ["0", "false", "False", "no", "No", "off", "OFF"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_can_be_denied_in_several_words(flag, value):
    assert read_environment({flag: value}, "fsdp").flags[flag] is False


@pytest.mark.parametrize("variables", [{}, dict.fromkeys(FLAGS, "")])
def test_a_flag_that_is_unset_or_empty_has_its_default(variables):
    assert read_environment(variables, "fsdp").flags == {name: name == "PREFLIGHT" for name in FLAGS}


@pytest.mark.parametrize("value", ["maybe", "2", "-1", "y", "none", "tru"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_that_is_neither_is_refused(flag, value):
    assert refusal({flag: value}) == f"{flag}={value} is neither yes nor no; write {flag}=1 or {flag}=0"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TRAIN_BATCHSIZE", "TRAIN_BATCH_SIZE"),
        ("train_batch_size", "TRAIN_BATCH_SIZE"),
        ("TrainBatchSize", "TRAIN_BATCH_SIZE"),
        ("TRIAN_BATCH_SIZE", "TRAIN_BATCH_SIZE"),
        ("TRAIN_BATCH_SZIE", "TRAIN_BATCH_SIZE"),
        ("TRAIN_BATCH_SIZ", "TRAIN_BATCH_SIZE"),
        ("TRAIN_BATCH_SIZES", "TRAIN_BATCH_SIZE"),
        ("ROLOUT_N", "ROLLOUT_N"),
        ("ACTORLR", "ACTOR_LR"),
        ("LORA_RANKS", "LORA_RANK"),
        ("MAX_RESPONSE_LENGHT", "MAX_RESPONSE_LENGTH"),
        ("KL_LOS_COEF", "KL_LOSS_COEF"),
        ("NNODE", "NNODES"),
        ("DRYRUN", "DRY_RUN"),
        ("dry_run", "DRY_RUN"),
        ("PREFLIGTH", "PREFLIGHT"),
        ("SMOKEE", "SMOKE"),
    ],
)
def test_a_name_with_a_slip_of_the_finger_is_refused_with_the_right_one(name, meant):
    assert refusal({name: "1"}) == f"{name} is set, and no launcher reads it: is {meant} meant? Unset it if not"
    assert knobs_given({name: ""}) == {}


KNOBS = sorted({knob.name for knob in read_knobs()})
# Of short names, a slip may be another word altogether ("MODEL_PATH" no, "SP_SIZE" yes), so they are not guessed at.
LONG = [name for name in KNOBS if len(name.replace("_", "")) >= 9]


@given(st.sampled_from(LONG), st.data())
@settings(deadline=None, max_examples=300)
def test_any_long_knob_with_two_letters_swapped_or_one_missing_is_refused(name, data):
    place = data.draw(st.integers(1, len(name) - 2))
    swap = data.draw(st.booleans())
    wrong = (
        name[:place] + name[place + 1] + name[place] + name[place + 2 :] if swap else name[:place] + name[place + 1 :]
    )
    others = {other for knob in read_knobs() for other in (knob.name, *knob.also)} | set(PLACES) | set(ELSEWHERE)
    if wrong not in others:
        assert "and no launcher reads it: is " in refusal({wrong: "1"})


@pytest.mark.parametrize("engine", ["fsdp", "megatron"])
def test_no_ordinary_name_is_refused_or_read(engine):
    assert len(ORDINARY) > 400
    found = {name: read_environment({name: "1"}, engine) for name in ORDINARY}
    assert {name for name, each in found.items() if each.knobs or each.places} == set()


@given(
    st.dictionaries(st.sampled_from(ORDINARY), st.text(min_size=1, max_size=8)), st.sampled_from(["fsdp", "megatron"])
)
@settings(deadline=None, max_examples=30)
def test_an_ordinary_environment_is_never_refused(variables, engine):
    found = read_environment(variables, engine)
    assert (found.knobs, found.places, found.variables) == ({}, {}, variables)


@given(st.from_regex(r"[A-Z]{3,8}(_[A-Z]{3,8}){2}", fullmatch=True))
@settings(deadline=None, max_examples=100)
def test_a_name_that_resembles_nothing_is_never_refused(name):
    parts = {part for knob in read_knobs() for part in knob.name.split("_")} | {
        part for n in FLAGS for part in n.split("_")
    }
    if not set(name.split("_")) & parts:
        assert knobs_given({name: "1"}) == {}


def test_what_no_shell_can_set_is_no_name():
    assert knobs_given({"BASH_FUNC_dry-run%%": "() { :; }", "TRAIN.BATCH.SIZE": "1"}) == {}


@pytest.mark.parametrize(
    ("name", "value", "knob"),
    [
        ("ROLLOUT_GPU_MEM_UTIL", "0.5", "GPU_MEMORY_UTILIZATION"),
        ("PPO_MAX_TOKEN_LEN_PER_GPU", "4096", "PPO_MAX_TOKEN_LEN"),
        ("INFER_BACKEND", "sglang", "ROLLOUT_ENGINE"),
        ("N_GPUS_PER_NODE", "4", "NGPUS_PER_NODE"),
        ("HF_MODEL_PATH", "/m", "MODEL_PATH"),
    ],
)
def test_the_names_of_verls_scripts_are_taken(name, value, knob):
    found = read_environment({name: value}, "fsdp").knobs[knob]
    assert (found.value, found.variable) == (value, name)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("EXPERIMENT_NAME", "RUN_NAME"),
        ("EXP_NAME", "RUN_NAME"),
        ("CKPTS_DIR", "CHECKPOINT_DIR"),
        ("CKPT_HOME", "CHECKPOINT_DIR"),
        ("RUN_DIR", "RUN_DIR"),
    ],
)
def test_so_are_their_names_of_places(name, place):
    assert read_environment({name: "/x"}, "fsdp").places == {place: "/x"}
    assert read_environment({name: ""}, "fsdp").places == {}


def test_places_reach_the_plan():
    variables = {"EXPERIMENT_NAME": "mine", "CKPTS_DIR": "/c", "PROJECT_NAME": "it's"}
    plan = make_plan(LAUNCHER, [], [], variables)
    assert (plan.run_name, plan.run.path.name) == ("mine", "mine")
    assert plan.value("trainer.default_local_dir") == "/c"
    assert plan.value("trainer.project_name") == "it's"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ROLLOUT_TP", "2"), ("GEN_TP", "4")),
        (("GEN_TP", "2"), ("INFER_TP", "4")),
        (("RUN_NAME", "a"), ("EXP_NAME", "b")),
        (("CHECKPOINT_DIR", "/a"), ("CKPT_DIR", "/b")),
    ],
)
def test_two_names_of_one_thing_must_agree(one, other):
    said = refusal(dict([other, one]))
    assert said == f"{'='.join(one)} and {'='.join(other)} are the same setting; unset one of them"
    read_environment(dict([one, (other[0], one[1])]), "fsdp")
    read_environment(dict([one, (other[0], "")]), "fsdp")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_of_verls_scripts_that_nothing_stands_for_is_refused_with_a_way(name):
    assert refusal({name: "1"}) == f"{name} is set, and no launcher reads it: {ELSEWHERE[name]}"
    assert knobs_given({name: ""}) == {}


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ROLLOUT_N": "five"}, "ROLLOUT_N=five is not a whole number above 0"),
        ({"N_RESP_PER_PROMPT": "0"}, "N_RESP_PER_PROMPT=0 is not a whole number above 0"),
        ({"PARAM_OFFLOAD": "1"}, "PARAM_OFFLOAD=1 is not True or False"),
        ({"END_IF_HUNG": "yes"}, "END_IF_HUNG=yes is not a number, such as 10: times the usual step"),
        ({"ACTOR_LR": "1e-6 "}, "ACTOR_LR=1e-6  is not a number"),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused(variables, said):
    assert refusal(variables) == said


def test_a_knob_of_the_other_engine_is_refused():
    assert refusal({"ACTOR_PP": "2"}) == "ACTOR_PP is a knob of megatron launchers; this one trains with fsdp"
    assert "SP_SIZE is a knob of fsdp" in refusal({"SP_SIZE": "2"}, "megatron")
    assert "ACTOR_TP is a knob of megatron" in refusal({"TP_SIZE": "2"})
    for engine in ("fsdp", "megatron"):
        assert knobs_given({"LORA_RANK": "8", "PARAM_OFFLOAD": "True"}, engine) == {
            "LORA_RANK": "8",
            "PARAM_OFFLOAD": "True",
        }


def test_the_environment_beats_the_clusters_file_under_whatever_name():
    variables = {"NGPUS_PER_NODE": "8", "N_GPUS_PER_NODE": "4"}
    assert knobs_given(variables, cluster_names=["NGPUS_PER_NODE"]) == {"NGPUS_PER_NODE": "4"}
    assert knobs_given(variables, cluster_names=["N_GPUS_PER_NODE"]) == {"NGPUS_PER_NODE": "8"}
    assert "are the same setting" in refusal(variables, cluster_names=list(variables))


@pytest.mark.parametrize(
    ("variables", "cluster_names", "arguments", "value", "source"),
    [
        ({}, [], [], "1", Source.LAUNCHER),
        ({"NNODES": "2"}, ["NNODES"], [], "2", Source.CLUSTER),
        ({"NNODES": "3"}, [], [], "3", Source.ENVIRONMENT),
        ({"NNODES": "2"}, ["NNODES"], [f"{NODES}=4"], "4", Source.ARGUMENT),
        ({"NNODES": "3"}, [], [f"{NODES}=4"], "4", Source.ARGUMENT),
    ],
)
def test_argument_environment_cluster_file_launcher_in_this_order(variables, cluster_names, arguments, value, source):
    plan = make_plan(LAUNCHER, [f"{NODES}={variables.get('NNODES', '1')}"], arguments, variables, cluster_names)
    assert (plan.value(NODES), plan.settings[NODES].origin.source) == (value, source)
