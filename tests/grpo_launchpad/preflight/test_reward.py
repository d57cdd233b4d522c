import shlex
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grpo_launchpad.preflight.reward import SELF_TEST_ROWS
from reward_score import self_test
from reward_score.__main__ import main
from tests.verl_files import write_split

REWARDS = "++reward.custom_reward_function.reward_kwargs.rewards"
OPTION = "++reward.custom_reward_function.reward_kwargs"
GDPO = ("algorithm.adv_estimator=gdpo", f"{REWARDS}='correctness:1.0,format:0.2'", "trainer.use_v1=False")


@pytest.mark.parametrize(
    "value",
    [
        "'correctness:1.0,format:0.2,length(target=200,unit=words):0.01'",
        "{correctness:1.0,length:{weight:0.1,target:20}}",
        "['correctness:1.0',{name:length,weight:0.1}]",
        "correctness",
    ],
)
def test_a_composition_is_accepted(launch, value):
    assert launch.problems(f"{REWARDS}={value}") == []


def test_a_composition_in_a_file_is_read(launch, tmp_path):
    file = tmp_path / "my rewards.yaml"
    file.write_text("correctness: 1.0\nformat: 0.2\n")
    assert launch.problems(f"{REWARDS}='{file}'") == []
    file.write_text("corectness: 1.0\n")
    assert "did you mean 'correctness'" in launch.problem(f"{REWARDS}='{file}'").what


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'corectness:1.0'", "did you mean 'correctness'"),
        ("'correctness:nan'", "must be a finite number"),
        ("'length(target=-1):1'", "write a whole number, 0 or more"),
        ("''", "names no component"),
        ("/no/such/file.yaml", "cannot be read"),
    ],
)
def test_a_wrong_composition_is_one_problem(launch, value, message):
    problem = launch.problem(f"{REWARDS}={value}")
    assert problem.where == "reward.custom_reward_function.reward_kwargs.rewards"
    assert message in problem.what
    assert "REWARDS" in problem.fix


def test_a_wrong_option_is_one_problem(launch):
    problem = launch.problem(f"{OPTION}.method=strict")
    assert problem.where == "reward.custom_reward_function.reward_kwargs"
    assert "the scorer of arithmetic has no option 'method'" in problem.what


def test_a_reward_of_the_users_own_is_the_users_business(launch):
    own = launch.own_reward("def compute_score(**sample): return 0.0\n")
    assert launch.problems(f"{REWARDS}=corectness", own) == []


def write(launch, golds, data_source="openai/gsm8k"):
    for split in ("train", "test"):
        rows = [launch.row(index, data_source) for index in range(len(golds))]
        for row, gold in zip(rows, golds, strict=True):
            row["reward_model"]["ground_truth"] = gold
        write_split(launch.train.parent, split, rows)


def test_golds_that_the_reward_does_not_know_are_named_with_the_command_that_lists_them(launch, capsys):
    golds = [str(index) for index in range(20)]
    golds[2] = "many"
    for index in range(5, 15):
        golds[index] = f"about {index} or {index + 1}"
    write(launch, golds)
    more = (f"{REWARDS}='correctness:1.0,length(target=20,unit=words):0.1'", f"{OPTION}.method=strict")
    first, second = launch.problems(*more)
    assert (first.where, second.where) == ("data.train_files", "data.val_files")
    assert "11 of 20 rows fail the reward's self-test: row 3 (openai/gsm8k, gold 'many')" in first.what
    assert first.what.endswith("; and 6 more")
    command = shlex.split(first.fix.partition("all of them: ")[2])
    assert command[:5] == ["python", "-m", "reward_score", "--self-test", str(launch.train)]
    assert "correctness:1.0,length(target=20,unit='words'):0.1" in command
    assert main(command[3:]) == 1
    assert "failed in 11 of 20" in capsys.readouterr().out


def test_a_large_file_is_sampled(launch):
    rows = 20_000
    write(launch, [str(index) if index % 7 else "many" for index in range(rows)])
    started = time.perf_counter()
    first, _ = launch.problems()
    assert time.perf_counter() - started < 20
    tested = int(first.what.split(" of ")[1].split(" ")[0])
    assert SELF_TEST_ROWS // 2 < tested <= SELF_TEST_ROWS
    assert first.what == launch.problems()[0].what


def test_structured_golds_are_tested(launch):
    write(launch, [{"target": 3 + index, "numbers": [1, 2, index]} for index in range(20)], "countdown")
    assert launch.problems() == []
    write(launch, [{"target": 9999, "numbers": [1, 2, index]} for index in range(20)], "countdown")
    assert "20 of 20 rows fail" in launch.problems()[0].what


def test_a_file_without_rows_has_only_that_problem(launch):
    pq.write_table(pq.read_table(launch.train).slice(0, 0), launch.train)
    assert launch.problem().where == "data.train_batch_size"


def test_other_problems_of_a_file_come_first(launch):
    table = pq.read_table(launch.train)
    rewards = pa.array([{"style": "rule"}] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("reward_model"), "reward_model", rewards), launch.train)
    assert "no ground_truth" in launch.problem().what


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("column", ["reward_model", "data_source"])
def test_a_row_without_a_value_is_named(launch, column, own):
    reward = [launch.own_reward("def compute_score(**sample): return 0.0\n")] if own else []
    table = pq.read_table(launch.train)
    values = table.column(column).to_pylist()
    values[3] = values[7] = None
    empty = pa.array(values, table.schema.field(column).type)
    pq.write_table(table.set_column(table.column_names.index(column), column, empty), launch.train)
    problem = launch.problem(*reward)
    assert problem.where == "data.train_files"
    assert f"2 of 20 rows have no {column}, the first of them row 4" in problem.what


def test_a_data_source_that_is_no_text_is_named(launch):
    table = pq.read_table(launch.train)
    lists = pa.array([["arithmetic"]] * table.num_rows)
    pq.write_table(table.set_column(table.column_names.index("data_source"), "data_source", lists), launch.train)
    assert "column data_source is list<" in launch.problem().what


def test_puzzles_that_take_too_long_are_no_problem_and_end(launch, monkeypatch):
    monkeypatch.setattr(self_test, "SOLVER_STEPS", 1000)
    write(launch, [{"target": 10**9 + index, "numbers": [71, 73, 79, 83, 89, 97]} for index in range(20)], "countdown")
    assert launch.problems() == []


def test_an_option_without_effect_is_one_problem(launch):
    write(launch, [str(index) for index in range(20)])
    assert launch.problems(f"{OPTION}.format_weight=0.1") == []
    problem = launch.problem(f"{OPTION}.format_weight=0.1", f"{REWARDS}=correctness")
    assert "format_weight=0.1 has no effect" in problem.what
    assert "format:<weight>" in problem.what


class TestGdpo:
    def test_with_its_components_is_accepted(self, launch):
        keys = "+algorithm.gdpo_reward_keys=[correctness,format]"
        assert launch.problems(*GDPO, keys, "+algorithm.gdpo_reward_weights=[1.0,0.2]") == []

    def test_needs_the_legacy_trainer(self, launch):
        problem = launch.problem(*GDPO[:2], "+algorithm.gdpo_reward_keys=[correctness]")
        assert problem.where == "trainer.use_v1"
        assert problem.fix == "add trainer.use_v1=False"

    @pytest.mark.parametrize("keys", [(), ("+algorithm.gdpo_reward_keys=[]",)])
    def test_needs_names(self, launch, keys):
        assert launch.problem(*GDPO, *keys).fix == "add +algorithm.gdpo_reward_keys=[correctness,format]"

    def test_needs_names_of_components(self, launch):
        problem = launch.problem(*GDPO, "+algorithm.gdpo_reward_keys=[correctness,formt]")
        assert problem.what == "formt is no component of the reward"

    def test_needs_a_weight_for_each(self, launch):
        keys = "+algorithm.gdpo_reward_keys=[correctness,format]"
        problem = launch.problem(*GDPO, keys, "+algorithm.gdpo_reward_weights=[1.0]")
        assert problem.what == "1 weights for 2 components"
