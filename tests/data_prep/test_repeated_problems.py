"""A problem that is trained on must not be tested on, and one that occurs twice must be known."""

import pytest

from tests.data_prep.scripts import manifest, prepare, prepared, problem, refused, rows, source, write_lines

LONG = "At dawn seven tired bakers carried ninety warm loaves to the old market and sold all but four of them"
HELD_OUT = f"{LONG}. How many loaves did they bring home?"
# Other words at the end, in the middle of long ones, or only other capitals and spaces.
NEARLY = [
    f"{LONG}. How many loaves did they carry home?",
    f"Read with care. {HELD_OUT} Answer quickly.",
    HELD_OUT.upper(),
]
SAME = [HELD_OUT, f"  {HELD_OUT}\n", HELD_OUT.replace(" ", "\n ")]
OTHER = [
    "How many loaves did they bring home?",
    "At dusk two tired bakers carried ninety cold loaves to a market and sold all of them. How many did they sell?",
]


def gsm8k(out, folder, *options):
    return prepare("gsm8k", "--source", folder, "--out", out, *options)


def custom(out, folder, *options):
    arguments = ["--name", "mine", "--data-source", "openai/gsm8k", "--answer-in", "hash"]
    return prepare("custom", "--source", folder, "--out", out, *arguments, *options)


def record(question):
    return {"question": question, "answer": "Four.\n#### 4"}


def trained_on(out):
    return [row["prompt"][0]["content"].split(" Let's think step")[0] for row in rows(out)]


@pytest.fixture
def folder(tmp_path):
    def make(question):
        return source(tmp_path / "source", [problem(1), record(question), problem(2)], [problem(900), record(HELD_OUT)])

    return make


CASES = [("overlap", question) for question in SAME] + [("near-overlap", question) for question in NEARLY]


@pytest.mark.parametrize("run", [gsm8k, custom])
@pytest.mark.parametrize(("reason", "question"), CASES)
def test_a_test_problem_among_the_training_problems_is_refused(tmp_path, folder, run, reason, question):
    where = folder(question)
    done = run(tmp_path / "out", where)
    told = refused(done, f"{where / 'train.jsonl'}, row 2", "test row 2", f"--drop {reason}", f"  {reason}: 1 row;")
    assert told.count("row 2") == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("reason", "question"), CASES)
def test_it_is_left_out_when_told_so(tmp_path, folder, reason, question):
    done = gsm8k(tmp_path, folder(question), "--drop", reason)
    assert done.returncode == 0, done.stderr
    assert trained_on(tmp_path) == [problem(1)["question"], problem(2)["question"]]
    assert len(rows(tmp_path, "test")) == 2
    left_out = manifest(tmp_path)["splits"]["train"]["left_out"]
    assert {why: what["indices"] for why, what in left_out.items()} == {reason: [1]}
    assert f"{reason}: 1 left out" in done.stdout


@pytest.mark.parametrize(("reason", "question"), CASES)
def test_it_is_kept_when_told_so(tmp_path, folder, reason, question):
    done = gsm8k(tmp_path, folder(question), "--keep", reason)
    assert done.returncode == 0, done.stderr
    assert trained_on(tmp_path) == [problem(1)["question"], question, problem(2)["question"]]
    assert manifest(tmp_path)["splits"]["train"]["kept"][reason]["rows"] == 1
    assert f"{reason}: 1 kept" in done.stdout


@pytest.mark.parametrize("question", OTHER)
def test_another_problem_is_not_taken_for_a_test_problem(tmp_path, folder, question):
    prepared("gsm8k", "--source", folder(question), "--out", tmp_path)
    assert question in trained_on(tmp_path)


def test_the_training_split_alone_is_compared_as_well(tmp_path, folder):
    where = folder(HELD_OUT)
    refused(gsm8k(tmp_path / "out", where, "--split", "train"), "overlap", "test row 2")
    prepared("gsm8k", "--source", where, "--split", "test", "--out", tmp_path / "out")


def test_a_limit_on_training_rows_does_not_limit_the_test_rows_they_are_compared_with(tmp_path, folder):
    where = folder(HELD_OUT)
    prepared("gsm8k", "--source", where, "--split", "test", "--out", tmp_path / "out")
    write_lines(where / "train.jsonl", [record(HELD_OUT), problem(1)])
    refused(gsm8k(tmp_path / "out", where, "--split", "train", "--limit", "1"), "overlap", "test row 2")


def test_without_a_test_split_the_card_says_that_nothing_was_compared(tmp_path, folder):
    where = folder("How many?")
    (where / "test.jsonl").unlink()
    done = prepared("gsm8k", "--source", where, "--split", "train", "--out", tmp_path / "out")
    assert "no held-out split to compare it with" in done.stdout
    assert manifest(tmp_path / "out")["splits"]["train"]["compared_with_held_out_problems"] == 0


def test_a_damaged_test_split_does_not_go_unnoticed_when_training_rows_are_compared_with_it(tmp_path, folder):
    where = folder("How many?")
    (where / "test.jsonl").write_text("{")
    done = gsm8k(tmp_path / "out", where, "--split", "train")
    refused(done, f"{where / 'test.jsonl'}, row 1", "not valid JSON")


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_problem_that_occurs_twice_is_named_by_both_rows(tmp_path, split):
    repeated = [problem(1), problem(2), problem(3), problem(2) | {"question": f" {problem(2)['question']}"}]
    folder = source(tmp_path / "source", **({"train": [problem(5)], "test": [problem(900)]} | {split: repeated}))
    done = gsm8k(tmp_path / "out", folder)
    line = f"{folder / f'{split}.jsonl'}, row 4: the same prompt as row 2 of the split"
    refused(done, line, f"the {split} split", "--drop duplicate")
    assert not (tmp_path / "out").exists()

    prepared("gsm8k", "--source", folder, "--drop", "duplicate", "--out", tmp_path / "out")
    assert [row["extra_info"]["index"] for row in rows(tmp_path / "out", split)] == [0, 1, 2]
    done = prepared("gsm8k", "--source", folder, "--keep", "duplicate", "--out", tmp_path / "out")
    assert [row["extra_info"]["index"] for row in rows(tmp_path / "out", split)] == [0, 1, 2, 3]
    assert line in done.stdout


def test_rows_that_are_named_are_those_of_the_file_when_others_are_left_out_before_them(tmp_path):
    records = [record(""), problem(1), b"", {"question": "q", "answer": "none"}, problem(2), b"", problem(1)]
    file = write_lines(tmp_path / "train.jsonl", records)
    done = gsm8k(tmp_path / "out", file, "--split", "train", "--drop", "empty,gold")
    refused(done, f"{file}, row 7: the same prompt as row 2 of the split")


def test_more_repetitions_than_are_listed_are_counted(tmp_path):
    folder = source(tmp_path / "source", [problem(number % 7) for number in range(2107)])
    refused(gsm8k(tmp_path / "out", folder), "duplicate: 2,100 rows", "and 2,095 more")
    prepared("gsm8k", "--source", folder, "--drop", "duplicate", "--out", tmp_path / "out")
    described = manifest(tmp_path / "out")["splits"]["train"]
    assert described["rows_out"] == len(rows(tmp_path / "out")) == 7
    assert described["left_out"]["duplicate"]["rows"] == 2100
