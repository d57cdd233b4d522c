"""The table of knobs, and how a value is written so that Hydra reads it back."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo_launchpad.launch import knobs
from grpo_launchpad.launch.knobs import BACKENDS, KINDS, Knob, knob_of, knobs_of, quoted, read_knobs
from grpo_launchpad.launch.plan import Origin, Setting, Source
from grpo_launchpad.preflight.compose import compose

PARSER = OverridesParser.create()
# What an environment variable can hold.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def knob(kind):
    return Knob("A", "all", kind, ("a.b",), (), "")


def test_a_row_has_its_six_columns():
    row = next(row for row in read_knobs() if row.name == "LOG_PROB_MAX_TOKEN_LEN")
    assert (row.backend, row.kind, row.prefix) == ("all", "count", "")
    assert row.keys == (
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
        "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
    )
    assert row.also == ("LOG_PROB_MAX_TOKEN_LEN_PER_GPU",)
    assert row.meaning == "tokens a micro batch without gradients"


def test_a_key_that_verl_lacks_is_added_without_the_plus_in_its_name():
    row = next(row for row in read_knobs() if row.name == "REWARDS")
    assert (row.prefix, row.keys) == ("++", ("reward.custom_reward_function.reward_kwargs.rewards",))


@pytest.mark.parametrize(
    ("key", "backend", "name"),
    [
        ("data.max_response_length", "fsdp", "MAX_RESPONSE_LENGTH"),
        ("data.max_response_length", "megatron", "MAX_RESPONSE_LENGTH"),
        ("actor_rollout_ref.ref.fsdp_config.ulysses_sequence_parallel_size", "fsdp", "SP_SIZE"),
        ("actor_rollout_ref.model.lora_rank", "fsdp", "LORA_RANK"),
        ("actor_rollout_ref.model.lora.rank", "megatron", "LORA_RANK"),
        ("reward.custom_reward_function.reward_kwargs.rewards", "fsdp", "REWARDS"),
    ],
)
def test_a_key_is_found_in_the_launchers_of_its_backend(key, backend, name):
    assert knob_of(key, backend).name == name


@pytest.mark.parametrize(
    ("key", "backend"),
    [
        ("actor_rollout_ref.model.lora_rank", "megatron"),
        ("actor_rollout_ref.actor.megatron.tensor_model_parallel_size", "fsdp"),
        ("trainer.no_such_key", "fsdp"),
        ("trainer", "fsdp"),
    ],
)
def test_a_key_of_no_knob_is_none(key, backend):
    assert knob_of(key, backend) is None


@pytest.mark.parametrize("backend", ["fsdp", "megatron"])
def test_within_a_backend_every_name_and_key_means_one_thing(backend):
    rows = knobs_of(backend)
    names = [name for row in rows for name in (row.name, *row.also)]
    keys = [key for row in rows for key in row.keys]
    assert len(set(names)) == len(names) > 60
    assert len(set(keys)) == len(keys) > 30


def test_a_name_means_the_same_with_both_engines():
    kinds = {}
    for row in read_knobs():
        assert (row.backend in BACKENDS, row.kind in KINDS) == (True, True)
        kinds.setdefault(row.name, set()).add((row.kind, row.also))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("backend", "engine"), [("fsdp", "dp"), ("megatron", "megatron")])
def test_every_key_is_one_that_verl_has(backend, engine):
    """Those with a "++" are the ones that verl's tree does not list."""
    keys = [key for row in knobs_of(backend) if not row.prefix for key in row.keys]
    compose([f"model_engine={engine}", *(f"{key}=null" for key in keys)])


@pytest.mark.parametrize(
    "row",
    [
        "NNODES all count trainer.nnodes - machines",
        "NNODES | all | count | trainer.nnodes | machines",
        "NNODES | gpu | count | trainer.nnodes | - | machines",
        "NNODES | all | whole | trainer.nnodes | - | machines",
    ],
)
def test_a_row_out_of_form_is_named_with_its_line(tmp_path, monkeypatch, row):
    table = tmp_path / "knobs.txt"
    table.write_text(f"# comment\n\n{row}\n")
    monkeypatch.setattr(knobs, "TABLE", table)
    knobs._table.cache_clear()
    try:
        with pytest.raises(ValueError, match=r"knobs\.txt:3: a row is: knob"):
            read_knobs()
    finally:
        knobs._table.cache_clear()


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("count", ["1", "1024"], ["0", "-1", "1.0", "1e3", "01", "five", "1 ", "1\n", "٣"]),
        ("integer", ["0", "-1", "7"], ["-0", "1.5", "+1", "--1", "007", "1\n"]),
        ("number", ["1", "1e-6", ".5", "5.", "-0.1", "+1E+3"], ["e5", ".", "1e", "1,5", "nan", "1 2"]),
        ("flag", ["True", "false"], ["1", "yes", "TRUE", "Truee"]),
        ("word", ["vllm", "all-linear"], ["two words", "tab\t"]),
        ("text", ["it's", "a b", "["], []),
        ("files", ["/a b/c", "[a,b]"], []),
    ],
)
def test_a_value_of_another_kind_is_a_fault(kind, right, wrong):
    assert [value for value in right if knob(kind).fault(value)] == []
    assert [value for value in wrong if not knob(kind).fault(value)] == []


@given(TEXTS)
@example("\\\n")
@example("\\'")
@example("C:\\dir\\")
@example("${oc.env:HOME}")
@settings(deadline=None, max_examples=300)
def test_hydra_reads_back_any_text(value):
    assert PARSER.parse_override(f"a.b={knob('text').hydra_value(value)}").value() == value
    assert Setting("a.b", quoted(value), Origin(Source.LAUNCHER)).plain_value == value


@given(TEXTS.filter(lambda path: not path.startswith("[")))
@settings(deadline=None)
def test_hydra_reads_back_any_file(path):
    assert PARSER.parse_override(f"a.b={knob('files').hydra_value(path)}").value() == path


def test_a_list_of_files_stays_a_list():
    value = knob("files").hydra_value("[/a/1.parquet,'/b c/2.parquet']")
    assert PARSER.parse_override(f"a.b={value}").value() == ["/a/1.parquet", "/b c/2.parquet"]


@pytest.mark.parametrize("kind", ["count", "integer", "number", "flag", "word"])
def test_what_needs_no_quotes_gets_none(kind):
    assert knob(kind).hydra_value("1e-6") == "1e-6"
