import json
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpo_launchpad.preflight.model import count_parameters


def test_a_good_launch_has_no_problem_and_leaves_no_trace(launch):
    assert launch.problems() == []
    assert not launch.run_dir.exists()


def test_missing_data_names_the_command_that_makes_it(launch):
    launch.train.unlink()
    problem = launch.problem()
    assert problem.where == "data.train_files"
    assert str(launch.train) in problem.what
    assert problem.fix.startswith("python data_prep/arithmetic.py")


def test_validation_files_are_checked_as_well(launch):
    launch.test.unlink()
    assert launch.problem().where == "data.val_files"


def test_truncated_parquet_is_found(launch):
    launch.train.write_bytes(launch.train.read_bytes()[:-20])
    assert "not a readable parquet file" in launch.problem().what


def test_missing_column_is_named_with_those_there_are(launch):
    pq.write_table(pq.read_table(launch.train).drop_columns(["reward_model"]), launch.train)
    what = launch.problem().what
    assert "lacks the column(s) reward_model" in what
    assert "data_source, prompt" in what


def overwrite(file, column):
    """Fill the bytes of a column of a parquet file with nonsense; the rest stays as it was."""
    with pq.ParquetFile(file) as parquet:
        chunks = [
            chunk
            for group in range(parquet.metadata.num_row_groups)
            for index in range(parquet.metadata.num_columns)
            if (chunk := parquet.metadata.row_group(group).column(index)).path_in_schema.startswith(column)
        ]
    assert chunks
    data = bytearray(file.read_bytes())
    for chunk in chunks:
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.write_bytes(data)


def test_columns_that_no_check_needs_stay_unread(launch):
    table = pq.read_table(launch.train)
    images = pa.array([[{"bytes": b"x" * 1000, "path": None}]] * table.num_rows)
    pq.write_table(table.append_column("images", images), launch.train)
    for column in ("images", "prompt", "extra_info"):
        overwrite(launch.train, column)
    with pytest.raises((OSError, pa.ArrowException)):
        pq.read_table(launch.train)
    assert launch.problems() == []


@pytest.mark.parametrize("column", ["reward_model", "data_source"])
def test_a_column_that_a_check_needs_is_read(launch, column):
    overwrite(launch.train, column)
    problem = launch.problem()
    assert problem.where == "data.train_files"
    assert "is not a readable parquet file" in problem.what


def test_prompt_that_is_text_is_refused(launch):
    table = pq.read_table(launch.train)
    texts = pa.array(["1+1="] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("prompt"), "prompt", texts), launch.train)
    problem = launch.problem()
    assert "column prompt is string" in problem.what
    assert "role" in problem.fix


def test_reward_model_without_ground_truth_is_refused(launch):
    table = pq.read_table(launch.train)
    rewards = pa.array([{"style": "rule"}] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("reward_model"), "reward_model", rewards), launch.train)
    assert "no ground_truth" in launch.problem().what


def test_unknown_data_source_is_named_with_the_nearest_known_one(launch):
    launch.write(data_source="arithmetics")
    problems = launch.problems()
    assert [problem.where for problem in problems] == ["data.train_files", "data.val_files"]
    for name in ("'arithmetics'", "did you mean 'arithmetic'", "docs/en/rewards.md"):
        assert name in problems[0].what


def test_data_source_is_the_users_business_with_a_reward_of_their_own(launch):
    launch.write(data_source="somewhere/else")
    assert launch.problems(launch.own_reward("def compute_score(**sample): return 0.0\n")) == []


@pytest.mark.parametrize(("rows", "enough"), [(15, False), (16, True)])
def test_rows_must_fill_one_batch(launch, rows, enough):
    launch.write(rows)
    problems = launch.problems()
    assert (problems == []) == enough
    if not enough:
        assert problems[0].where == "data.train_batch_size"
        assert "TRAIN_BATCH_SIZE to at most 15" in problems[0].fix


def test_model_that_is_neither_a_folder_nor_a_name_is_refused(launch):
    problem = launch.problem("actor_rollout_ref.model.path='/no/such/model'")
    assert problem.where == "actor_rollout_ref.model.path"
    assert "/no/such/model" in problem.what


def test_smoke_model_is_made_here_if_its_architecture_is_known(launch):
    assert launch.problems("actor_rollout_ref.model.path='smoke:Qwen/Qwen2-7B-Instruct'") == []
    assert "smoke:nobody/nothing" in launch.problem("actor_rollout_ref.model.path='smoke:nobody/nothing'").what


def test_dimensions_are_those_of_the_models_folder(launch):
    (launch.model / "config.json").write_text('{"num_attention_heads": 6, "max_position_embeddings": 20}')
    problems = launch.problems(
        "actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.tensor_model_parallel_size=4"
    )
    assert ["context 20" in problems[0].what, "6 attention heads" in problems[1].what] == [True, True]


def test_config_that_is_no_json_breaks_no_check(launch):
    (launch.model / "config.json").write_text("{")
    assert launch.problems() == []


def test_folder_without_a_config_is_no_model(launch):
    (launch.model / "config.json").unlink()
    assert "config.json" in launch.problem().what


def test_parameters_are_counted_from_the_headers_of_the_weights(launch):
    assert count_parameters(launch.model) is None
    for name, columns in (("a", 1_000_000), ("b", 7)):
        header = b'{"w": {"dtype": "F32", "shape": [1000, %d], "data_offsets": [0, 0]}, "__metadata__": {}}' % columns
        (launch.model / f"{name}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert count_parameters(launch.model) == 1_000_007_000


def test_ray_cluster_that_does_not_answer_is_found(launch, monkeypatch):
    with socket.socket() as closed_soon:
        closed_soon.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed_soon.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    problem = launch.problem()
    assert problem.where == "RAY_ADDRESS"
    assert address in problem.what


def test_ray_cluster_that_answers_is_accepted(launch, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listener.getsockname()[1]}")
        assert launch.problems() == []


@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "host:port", "ray://", "host:99999"])
def test_ray_address_that_is_none_is_refused(launch, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    problem = launch.problem()
    assert problem.where == "RAY_ADDRESS"
    assert "is not host:port" in problem.what


def test_group_of_one_sample_is_refused(launch):
    problem = launch.problem("actor_rollout_ref.rollout.n=1")
    assert problem.where == "actor_rollout_ref.rollout.n"
    assert "ROLLOUT_N" in problem.fix


@pytest.mark.parametrize(("mini", "nearest"), [(5, 4), (15, 16), (7, 8)])
def test_mini_batch_that_does_not_divide_gets_the_nearest_that_does(launch, mini, nearest):
    problem = launch.problem(f"actor_rollout_ref.actor.ppo_mini_batch_size={mini}")
    assert problem.fix == f"set PPO_MINI_BATCH_SIZE={nearest}"


@pytest.mark.parametrize(("tokens", "enough"), [(23, False), (24, True)])
def test_token_budget_must_hold_one_sample(launch, tokens, enough):
    problems = launch.problems(f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={tokens}")
    assert (problems == []) == enough
    assert enough or "PPO_MAX_TOKEN_LEN" in problems[0].fix


@pytest.mark.parametrize(("length", "enough"), [(23, False), (24, True)])
def test_rollout_engine_must_hold_one_sample(launch, length, enough):
    problems = launch.problems(f"actor_rollout_ref.rollout.max_model_len={length}")
    assert (problems == []) == enough


def test_several_problems_are_reported_together(launch):
    launch.train.unlink()
    found = launch.problems("actor_rollout_ref.rollout.n=1", "actor_rollout_ref.actor.ppo_mini_batch_size=5")
    assert len(found) == 3


def test_rows_of_json_lines_are_not_counted_and_not_missed(launch):
    """verl reads them as well; how many there are is not looked at."""
    lines = launch.train.with_suffix(".jsonl")
    lines.write_text("".join(json.dumps(launch.row(index)) + "\n" for index in range(20)))
    assert launch.problems(f"data.train_files={lines}") == []


def test_prompts_may_be_any_of_arrows_kinds_of_lists(launch):
    table = pq.read_table(launch.train)
    number = table.column_names.index("prompt")
    kind = pa.large_list(table.schema.field("prompt").type.value_type)
    pq.write_table(table.set_column(number, "prompt", table.column("prompt").cast(kind)), launch.train)
    assert launch.problems() == []
