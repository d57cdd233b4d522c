"""Files of others as they are: written so that they teach, or refused with what is wrong; never wrong in silence."""

import base64
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.pipeline import prepare as prepare_module
from reward_score import compute_score
from tests.data_prep.scripts import prepare, prepared, refused, rows, script, write_lines


def custom(tmp_path, records, *options, data_source="math", name="rows.jsonl"):
    source = tmp_path / name
    if records is not None:
        write_lines(source, records)
    options = options if "--holdout" in options else ("--split", "train", *options)
    words = ["--source", source, "--name", "mine", "--data-source", data_source, "--out", tmp_path / "out", *options]
    return prepare("custom", *words)


def written(done, tmp_path, split="train"):
    assert done.returncode == 0, done.stderr
    return rows(tmp_path / "out", split)


def truths(done, tmp_path):
    return [row["reward_model"]["ground_truth"] for row in written(done, tmp_path)]


def answers(*cells):
    return [{"question": f"What is sought in case {n}?", "answer": cell} for n, cell in enumerate(cells)]


NO_ANSWERS = {
    "a solution of GSM8K": "4*3 = 12 goats.\n#### 12",
    "prose": "Adding 1 and 2 gives 3, so the sum is 3.",
    "Chinese prose": "一共有3个苹果，又买了2个，所以是5个。",
    "an essay": "Rivers carry sediment to the sea and shape the land",
    "a program": "def f(n):\n    return n + 1",
    "steps": "Therefore $x=4$, hence $y=5$",
    "a hedge": "about 3.5",
    "a label with its text": "C. 12",
    "a label in brackets": "(C) 12",
    "a label with a word": "Option B",
    "a remark on two answers": "080 or 081 (both were accepted)",
    "a list of texts": "['5', '6']",
    "European decimals": "1.234,5",
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_what_no_response_can_equal_is_no_ground_truth(tmp_path, case):
    """Any text equals itself in a box, so the scorer alone would take each of these for good."""
    done = custom(tmp_path, answers("7", NO_ANSWERS[case]))
    if done.returncode == 0:  # a scorer that reads such a label
        (truth,) = truths(done, tmp_path)[1:]
        assert (
            compute_score("math", r"\boxed{12}", truth)["acc"] == compute_score("math", r"\boxed{C}", truth)["acc"] == 1
        )
        return
    refused(done, "rows.jsonl, row 2", "--drop gold")


def test_a_refusal_says_where_else_in_the_cells_an_answer_is(tmp_path):
    done = custom(tmp_path, answers("4*3=12\n#### 12", "So 13.\n#### 13"))
    refused(done, "--answer-in hash finds an answer in 2 of 2 rows")


@pytest.mark.parametrize(
    ("cell", "truth"),
    [
        ("9 (apples)", "9"),
        ("5 (km)", "5"),
        ("5（千米）", "5"),
        ("['5']", "5"),
        (["$5$"], "$5$"),
        ("The answer is 5.", "5"),
        ("答案是5。", "5"),
        ("**5**", "5"),
        ("f(2)", "f(2)"),
        ("3 (x + 1)", "3 (x + 1)"),
        (r"\text{Monday}", r"\text{Monday}"),
        ("no solution", "no solution"),
        (r"\frac{1}{2}, 3", r"\frac{1}{2}, 3"),
    ],
)
def test_what_is_said_about_an_answer_is_not_the_answer(tmp_path, cell, truth):
    assert truths(custom(tmp_path, answers(cell)), tmp_path) == [truth]


@pytest.mark.parametrize(("number", "truth"), [("1,250", "1250"), ("1,2", "1,2"), ("3,5", "3,5"), ("12,34", "12,34")])
def test_only_groups_of_three_digits_are_thousands(tmp_path, number, truth):
    records = answers(f"So\n#### {number}")
    assert truths(custom(tmp_path, records, "--answer-in", "hash"), tmp_path) == [truth]
    done = prepare("gsm8k", "--source", tmp_path / "rows.jsonl", "--split", "train", "--out", tmp_path / "gsm8k")
    assert (done.returncode == 0) == (truth == "1250")


BOXES = [
    ("Find all $x$.", r"So \boxed{1} and \boxed{9}.", "1, 9"),
    ("Find all $x$, separated by commas.", r"So $x = \boxed{1}$ or $x = \boxed{9}.$", "1, 9"),
    ("Simplify.", r"It is \boxed{x+3} or \boxed{3+x}.", "3+x"),
    ("Find $x$.", r"First \boxed{2}. But that is no root. So \boxed{3}.", "3"),
    ("Find a focus. Enter one of them, not both.", r"It is \boxed{(0,1)} or \boxed{(0,2)}.", None),
    ("How many has each?", r"Ann has \boxed{4} and Ben has \boxed{5} of them.", None),
]


@pytest.mark.parametrize(("question", "solution", "truth"), BOXES)
def test_of_several_boxes_none_is_lost(tmp_path, question, solution, truth):
    record = {"question": question, "answer": solution}
    done = custom(tmp_path, [record], "--answer-in", "box")
    if truth is None:
        refused(done, "rows.jsonl, row 1", "--drop gold")
    else:
        assert truths(done, tmp_path) == [truth]


CHOICES = {
    "texts": {"choices": ["cat", "dog", "cow"], "answer": "B"},
    "labelled texts": {"choices": ["A) cat", "B) dog", "C) cow"], "answer": "(B)"},
    "by letter": {"choices": {"A": "cat", "B": "dog", "C": "cow"}, "answer": "B"},
    "texts and labels": {"choices": {"text": ["cat", "dog", "cow"], "label": ["A", "B", "C"]}, "answer": "B"},
    "the answer's text": {"choices": ["cat", "dog", "cow"], "answer": "dog"},
}


@pytest.mark.parametrize("case", CHOICES)
def test_choices_of_a_column_of_their_own_are_asked(tmp_path, case):
    record = {"question": "Which barks?"} | CHOICES[case]
    (row,) = written(custom(tmp_path, [record], "--choices-column", "choices", data_source="multiple_choice"), tmp_path)
    assert row["prompt"][-1]["content"] == "Which barks?\nA. cat\nB. dog\nC. cow"
    assert row["reward_model"]["ground_truth"] == "B"


@pytest.mark.parametrize(("answer_in", "answer"), [("index", 1), ("number", 2)])
def test_the_number_of_a_choice_is_counted_as_the_user_says(tmp_path, answer_in, answer):
    record = {"question": "Which barks?", "a": "cat", "b": "dog", "answer": answer}
    options = ["--choices-column", "a", "b"]
    done = custom(tmp_path, [record], *options, data_source="multiple_choice")
    refused(done, "--answer-in index", "--answer-in number")
    done = custom(tmp_path, [record], *options, "--answer-in", answer_in, data_source="multiple_choice")
    assert truths(done, tmp_path) == ["B"]


@pytest.mark.parametrize("data_source", ["multiple_choice", "math"])
def test_a_letter_without_choices_is_refused(tmp_path, data_source):
    record = {"question": "Which barks?", "options": ["cat", "dog"], "answer": "B"}
    refused(custom(tmp_path, [record], data_source=data_source), "'options'", "--choices-column")


def test_several_right_letters_are_named(tmp_path):
    record = {"question": "Even? A. 2 B. 3 C. 4", "answer": "AC"}
    told = refused(custom(tmp_path, [record], data_source="multiple_choice"), "several letters")
    assert "the log" not in told


PASSAGES = [{"passage": f"Nord has {n} houses.", "question": "How many houses?", "answer": str(n)} for n in range(3)]


def test_a_passage_is_not_lost(tmp_path):
    done = custom(tmp_path, PASSAGES)
    refused(done, "--question-column passage question", "and another ground truth")
    refused(custom(tmp_path, PASSAGES, "--keep", "unused", "--drop", "duplicate"), "conflict: 2 rows")
    found = written(custom(tmp_path, PASSAGES, "--question-column", "passage", "question"), tmp_path)
    assert found[1]["prompt"][0]["content"].startswith("Nord has 1 houses.\nHow many houses? ")


def test_a_column_that_is_no_part_of_the_question_may_be_left(tmp_path):
    records = [record | {"question": record["passage"]} for record in PASSAGES]
    records = [record | {"passage": "of no use"} for record in records]
    assert len(written(custom(tmp_path, records, "--keep", "unused"), tmp_path)) == 3


MESSAGES = {
    "roles": [{"role": "user", "content": "How many?"}],
    "from and value": [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "Seven."}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "How many?"}]}],
    "JSON": json.dumps([{"role": "user", "content": "How many?"}]),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_prompt_as_messages_is_read(tmp_path, case):
    (row,) = written(custom(tmp_path, [{"question": MESSAGES[case], "answer": "7"}]), tmp_path)
    assert row["prompt"][0]["content"].startswith("How many? Let's think")


def test_a_system_message_is_kept_and_a_conversation_refused(tmp_path):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many?"}]
    (row,) = written(custom(tmp_path, [{"question": messages, "answer": "7"}]), tmp_path)
    assert row["prompt"][0] == messages[0]
    messages += [{"role": "assistant", "content": "Of what?"}, {"role": "user", "content": "Of eggs."}]
    done = custom(tmp_path, [{"question": messages, "answer": "7"}])
    refused(done, "conversation of 4 messages", "--drop prompt")


@pytest.mark.parametrize("truth", ["7", ["7"], '["7"]'])
def test_rows_for_verl_of_others_get_the_data_source_that_is_given(tmp_path, truth):
    prompt = [{"role": "user", "content": "How many? Box it."}]
    row = {"data_source": "x", "prompt": prompt, "ability": "m", "reward_model": {"ground_truth": truth}, "id": 1}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "rows.parquet")
    (found,) = written(custom(tmp_path, None, name="rows.parquet"), tmp_path)
    assert (found["data_source"], found["prompt"]) == ("math", prompt)
    assert found["reward_model"]["ground_truth"] == "7"


@pytest.mark.parametrize("answer", [True, {"value": 7}, ["6", "7"], []])
def test_an_answer_of_another_type_is_one_row_that_can_be_left_out(tmp_path, answer):
    records = answers("7", answer)
    refused(custom(tmp_path, records), "row 2", "--drop gold")
    assert truths(custom(tmp_path, records, "--drop", "gold"), tmp_path) == ["7"]


GOOD = [{"question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(1, 7)]
LINES = "".join(json.dumps(record) + "\n" for record in GOOD)
TABLE = [["question", "answer"], *([record["question"], record["answer"]] for record in GOOD)]


def table(mark):
    return "".join(mark.join(line) + "\n" for line in TABLE).encode()


CONTAINERS = {
    "semicolons.csv": table(";"),
    "tabs.csv": table("\t"),
    "tabs.tsv": table("\t"),
    "lines.jsonl.gz": gzip.compress(LINES.encode()),
    "table.csv.gz": gzip.compress(table(",")),
    "lines.json": LINES.encode(),
    "wrapped.json": json.dumps({"version": 1, "data": GOOD}).encode(),
    "deep.json": json.dumps({"result": {"rows": GOOD}}).encode(),
    "columns.json": json.dumps({name: [row[name] for row in GOOD] for name in GOOD[0]}).encode(),
    "pandas.json": json.dumps({name: {str(n): row[name] for n, row in enumerate(GOOD)} for name in GOOD[0]}).encode(),
    "names.json": json.dumps({f"p{n}": row for n, row in enumerate(GOOD)}).encode(),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_are_found_in_what_holds_them(tmp_path, name):
    (tmp_path / name).write_bytes(CONTAINERS[name])
    assert truths(custom(tmp_path, None, name=name), tmp_path) == [row["answer"] for row in GOOD]


def test_a_value_within_a_value_is_a_column(tmp_path):
    records = [{"item": {"q": "How many?", "a": {"value": 7}}}]
    options = ["--question-column", "item.q", "--answer-column", "item.a.value"]
    assert truths(custom(tmp_path, records, *options), tmp_path) == ["7"]


def arrow(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    content = pa.Table.from_pylist(GOOD)
    with pa.ipc.new_stream(file, content.schema) as stream:
        stream.write_table(content)


@pytest.mark.parametrize(
    "kind", ["data/train-00000-of-00001.parquet", "default/train/0000.parquet", "train/data-00000-of-00001.arrow"]
)
def test_a_folder_with_training_rows_only_can_be_split(tmp_path, kind):
    file = tmp_path / "folder" / kind
    file.parent.mkdir(parents=True)
    arrow(file) if kind.endswith(".arrow") else pq.write_table(pa.Table.from_pylist(GOOD), file)
    done = custom(tmp_path, None, "--holdout", 2, name="folder")
    assert (len(written(done, tmp_path)), len(rows(tmp_path / "out", "test"))) == (4, 2)


def test_a_validation_split_is_taken_for_the_test_split_and_told(tmp_path):
    write_lines(tmp_path / "folder" / "train.jsonl", GOOD[:4])
    write_lines(tmp_path / "folder" / "dev.jsonl", GOOD[4:])
    words = ["--source", tmp_path / "folder", "--name", "mine", "--data-source", "math", "--out", tmp_path / "out"]
    done = prepared("custom", *words)
    assert "test: the dev split" in done.stderr
    assert len(rows(tmp_path / "out", "test")) == 2
    refused(prepare("custom", *words, "--holdout", 1), "has a test split already (dev.jsonl)")


def test_one_file_a_problem_becomes_one_file(tmp_path):
    for split in ("train", "test"):
        for number in range(12):
            record = {"problem": f"{split}, number {number}?", "solution": rf"So \boxed{{{number}}}"}
            file = tmp_path / "source" / split / "algebra" / f"{number}.json"
            write_lines(file, [record | {"level": "1", "type": "Algebra"}])
    prepared("math", "--source", tmp_path / "source", "--out", tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert [row["reward_model"]["ground_truth"] for row in found] == [str(number) for number in range(12)]


@pytest.mark.parametrize(
    "prompt",
    ["<|im_start|>user\n%s<|im_end|>", "[INST] %s [/INST]", "<|image_pad|>%s", "<｜User｜>%s", "Human: %s\nAssistant:"],
)
def test_marks_of_a_chat_template_are_named(tmp_path, prompt):
    records = [record | {"question": prompt % record["question"]} for record in GOOD]
    refused(custom(tmp_path, records), "markers: 6 rows", "--drop markers")


def test_brackets_and_bars_of_mathematics_are_no_marks(tmp_path):
    records = [{"question": f"Solve |x| < {n} [in R], <a, b>: #{n}", "answer": str(n)} for n in range(3)]
    assert len(written(custom(tmp_path, records), tmp_path)) == 3


CHINESE = "question,answer\n小红有6本书，借出1本，还剩几本？,5\n"


@pytest.mark.parametrize("encoding", ["gb18030", "latin1"])
def test_the_encoding_that_is_told_is_the_right_one(tmp_path, encoding):
    text = CHINESE if encoding == "gb18030" else "question,answer\nCombien de crêpes à midi ?,5\n"
    (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
    refused(custom(tmp_path, None, name="rows.csv"), f"iconv -f {encoding} -t utf-8")


def test_text_of_a_wrong_encoding_is_named(tmp_path):
    (tmp_path / "rows.csv").write_text(CHINESE.encode("gbk").decode("latin-1"), encoding="utf-8")
    refused(custom(tmp_path, None, name="rows.csv"), "encoding: 1 row", "小红有", "--drop encoding")
    assert len(written(custom(tmp_path, answers("café, à l'été", "naïve Größe")), tmp_path)) == 2


@pytest.mark.parametrize("line", ["What is 11 minus 1?,10", "Compute 3 and 4,7", "Which?,1,4,4,B"])
def test_a_table_without_names_is_refused(tmp_path, line):
    (tmp_path / "rows.csv").write_text(f"{line}\n{line}\n")
    question, _, answer = line.rpartition(",")
    done = custom(tmp_path, None, "--question-column", question, "--answer-column", answer, name="rows.csv")
    refused(done, "the first line looks like a row")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:5e\nsize 6\n", ["Git LFS pointer", "git lfs pull"]),
        (b"<!DOCTYPE html>\n<html></html>\n", ["a web page", "login"]),
    ],
)
def test_what_a_download_left_in_place_of_the_file_is_named(tmp_path, content, words):
    for name in ("rows.parquet", "rows.jsonl"):
        (tmp_path / name).write_bytes(content)
        refused(custom(tmp_path, None, name=name), *words)


def test_images_as_base64_are_read_and_addresses_named(tmp_path):
    picture = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(picture, "png")
    inline = base64.b64encode(picture.getvalue()).decode()
    records = [
        {"question": f"{n}?", "answer": "1", "image": image}
        for n, image in enumerate([inline, f"data:image/png;base64,{inline}"])
    ]
    options = ["--image-column", "image"]
    found = written(custom(tmp_path, records, *options, data_source="hiyouga/geometry3k"), tmp_path)
    assert [row["images"][0]["bytes"] for row in found] == [picture.getvalue()] * 2
    records[0]["image"] = "https://example.org/1.png"
    told = refused(custom(tmp_path, records, *options, data_source="hiyouga/geometry3k"), "an address on the web")
    assert max(map(len, told.splitlines())) < 500


def test_what_is_held_out_of_many_pieces_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "SHARD_ROWS", 2)
    done = custom(tmp_path, GOOD, "--holdout", 3)
    assert done.returncode == 0, done.stderr
    assert len(pq.read_table(tmp_path / "out" / "test.parquet")) == 3
    assert len(rows(tmp_path / "out")) == 3


def test_search_and_countdown_can_be_prepared(tmp_path):
    done = custom(tmp_path, answers("Paris", ["Rome", "Roma"]), data_source="searchR1_nq")
    assert truths(done, tmp_path) == [{"target": ["Paris"]}, {"target": ["Rome", "Roma"]}]
    records = [{"nums": [1, 7, 3], "target": 11}, {"nums": [2, 5], "target": 10}]
    options = ["--question-column", "nums", "--answer-column", "target"]
    done = custom(tmp_path, records, *options, data_source="countdown")
    assert truths(done, tmp_path)[1] == {"target": 10, "numbers": [2, 5]}


def test_a_user_sees_one_page_and_no_traceback(tmp_path):
    write_lines(tmp_path / "rows.jsonl", answers("4*3 = 12\n#### 12"))
    words = ["--source", "rows.jsonl", "--name", "x", "--data-source", "math", "--split", "train", "--out", "out"]
    refused(
        script("custom", *words, cwd=tmp_path), "a whole solution", "--answer-in hash finds an answer in 1 of 1 rows"
    )
