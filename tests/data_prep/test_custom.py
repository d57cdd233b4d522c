import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_prep.custom import DATA_SOURCES, after_hash
from reward_score import compute_score
from tests.data_prep.scripts import contents, manifest, prepare, prepared, problem, refused, rows, write_lines

RECORDS = [{"question": f"How much is {n} and {n}?", "answer": str(2 * n)} for n in range(1, 41)]


def write_csv(file, records):
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, records[0])
        writer.writeheader()
        writer.writerows(records)
    return file


WRITERS = {
    ".jsonl": write_lines,
    ".json": lambda file, records: file.write_text(json.dumps(records)),
    ".csv": write_csv,
    ".parquet": lambda file, records: pq.write_table(pa.Table.from_pylist(records), file, row_group_size=7),
}


def custom(out, source, *options, data_source="math"):
    return prepare("custom", "--source", source, "--name", "mine", "--data-source", data_source, "--out", out, *options)


def asked(out, split="train"):
    return [row["prompt"][-1]["content"].split(" Let's think")[0] for row in rows(out, split)]


def truths(out, split="train"):
    return [row["reward_model"]["ground_truth"] for row in rows(out, split)]


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_of_file_gives_the_same_rows(tmp_path, suffix):
    records = [
        {"question": 'Say "x, y"\nor ç?', "answer": r"\frac{1}{2}"},
        {"question": "  Find $x$.", "answer": "7"},
        *RECORDS,
    ]
    file = tmp_path / f"problems{suffix}"
    WRITERS[suffix](file, records)
    done = custom(tmp_path / "out", file, "--split", "train")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out") == [
        {
            "data_source": "math",
            "prompt": [
                {
                    "role": "user",
                    "content": rf"{record['question']} Let's think step by step and output the final answer within "
                    r"\boxed{}.",
                }
            ],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": record["answer"]},
            "extra_info": {"split": "train", "index": index},
        }
        for index, record in enumerate(records)
    ]


def test_a_table_from_excel_is_read(tmp_path):
    """Its UTF-8 has a byte order mark, its lines end in CR LF, and numbers have no quotes."""
    (tmp_path / "train.csv").write_bytes("\ufeffquestion,answer\r\nHow much?,7\r\n\r\nÖfter?,2.5\r\n".encode())
    done = custom(tmp_path / "out", tmp_path / "train.csv", "--split", "train")
    assert done.returncode == 0, done.stderr
    assert asked(tmp_path / "out") == ["How much?", "Öfter?"]
    assert truths(tmp_path / "out") == ["7", "2.5"]


@pytest.mark.parametrize(
    ("number", "truth"), [(7, "7"), (7.0, "7"), (0.25, "0.25"), (-3, "-3"), (10**20, "1" + "0" * 20)]
)
def test_numbers_may_be_answers(tmp_path, number, truth):
    write_lines(tmp_path / "train.jsonl", [{"question": "q", "answer": number}])
    assert custom(tmp_path / "out", tmp_path, "--split", "train").returncode == 0
    assert truths(tmp_path / "out") == [truth]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "true", "[7, 8]", "[]", '{"value": 7}'])
def test_what_is_no_answer_is_named(tmp_path, number):
    line = b'{"question": "q", "answer": %s}' % number.encode()
    write_lines(tmp_path / "train.jsonl", [RECORDS[0], line])
    done = custom(tmp_path / "out", tmp_path, "--split", "train")
    refused(done, f"{tmp_path / 'train.jsonl'}, row 2", "column 'answer'")


def test_columns_are_taken_by_the_names_that_are_given(tmp_path):
    records = [{"Frage": "Wie viel?", "Lösung": "7", "question": "wrong", "answer": "wrong"}]
    write_csv(tmp_path / "train.csv", records)
    options = ["--split", "train", "--question-column", "Frage", "--answer-column", "Lösung"]
    assert custom(tmp_path / "out", tmp_path, *options).returncode == 0
    assert (asked(tmp_path / "out"), truths(tmp_path / "out")) == (["Wie viel?"], ["7"])


@pytest.mark.parametrize("option", ["--question-column", "--answer-column", "--image-column"])
def test_a_column_that_is_not_there_is_named_with_the_option(tmp_path, option):
    write_csv(tmp_path / "train.csv", [{"question": "q", "answer": "7"}])
    done = custom(tmp_path / "out", tmp_path, "--split", "train", option, "problem")
    told = refused(done, f"{tmp_path / 'train.csv'}, row 1", "no column 'problem'", "'question', 'answer'")
    assert told.endswith(f"Say which it is with {option}.\n")


ANSWERS = [
    ("box", r"So \boxed{1}. No: $\boxed{\frac{1}{2}}$, clearly.", r"\frac{1}{2}"),
    ("hash", "Work.\n#### 7", "7"),
    ("hash", "#### 1\nNo.\n####   1,250  \n", "1250"),
    ("hash", "So\n#### -0.5", "-0.5"),
    ("hash", "So\n#### (3, 5)", "(3, 5)"),
    ("hash", r"So #### \frac{1}{2}", r"\frac{1}{2}"),
    ("whole", r"x = \boxed{7}", r"x = \boxed{7}"),
    ("whole", "1,250", "1,250"),
]


@pytest.mark.parametrize(("answer_in", "cell", "truth"), ANSWERS)
def test_the_answer_is_found_where_the_user_says(tmp_path, answer_in, cell, truth):
    write_lines(tmp_path / "train.jsonl", [{"question": "q", "answer": cell}])
    done = custom(tmp_path / "out", tmp_path, "--split", "train", "--answer-in", answer_in)
    assert done.returncode == 0, done.stderr
    assert truths(tmp_path / "out") == [truth]


@pytest.mark.parametrize(
    ("answer_in", "cell"),
    [("box", "It is 7."), ("box", r"\boxed{ }"), ("hash", "It is 7."), ("hash", "7 ####"), ("hash", "#### 7\nOr not?")],
)
def test_a_cell_without_an_answer_there_is_named(tmp_path, answer_in, cell):
    write_lines(
        tmp_path / "train.jsonl", [{"question": "q", "answer": r"\boxed{7} #### 7"}, {"question": "p", "answer": cell}]
    )
    done = custom(tmp_path / "out", tmp_path, "--split", "train", "--answer-in", answer_in)
    refused(done, f"{tmp_path / 'train.jsonl'}, row 2", "column 'answer'", f"--answer-in {answer_in}", "--drop gold")


def test_the_last_hash_decides_also_in_a_long_cell():
    assert after_hash("#### 1\n" * 100_000 + "#### 2") == "2"


def test_the_template_is_that_which_the_scorer_reads(tmp_path):
    told = {}
    for source in ("openai/gsm8k", "math", "hiyouga/geometry3k", "multiple_choice", "arithmetic", "mlabonne/smoltldr"):
        out = tmp_path / source
        answer = "B" if source == "multiple_choice" else "7"
        question = "q A. 1 B. 2" if source == "multiple_choice" else "q"
        write_lines(tmp_path / "source" / "train.jsonl", [{"question": question, "answer": answer}])
        done = custom(out, tmp_path / "source", "--split", "train", data_source=source)
        assert done.returncode == 0, done.stderr
        told[source] = "\n".join(message["content"] for message in rows(out)[0]["prompt"])
    assert "####" in told["openai/gsm8k"]
    assert r"\boxed{}" in told["math"]
    assert "<answer>" in told["multiple_choice"]
    assert "<answer>" in told["hiyouga/geometry3k"]
    assert r"\boxed{}" in told["hiyouga/geometry3k"]
    assert told["arithmetic"] == told["mlabonne/smoltldr"] == "q"


def test_every_data_source_on_offer_can_be_prepared(tmp_path):
    for source in DATA_SOURCES:
        answer = "B" if source == "multiple_choice" else "7"
        question = [7] if source == "countdown" else "Which? A. 1 B. 2"
        write_lines(tmp_path / "train.jsonl", [{"question": question, "answer": answer}])
        done = custom(tmp_path / source, tmp_path, "--split", "train", data_source=source)
        assert done.returncode == 0, (source, done.stderr)
        assert rows(tmp_path / source)[0]["data_source"] == source


def test_the_scorer_reads_what_the_prompt_asks_for(tmp_path):
    write_lines(tmp_path / "train.jsonl", [{"question": "q", "answer": r"\frac{1}{2}"}])
    for template, response in (
        ("hash", r"So.\n#### \frac{1}{2}"),
        ("boxed", r"So \boxed{\frac{1}{2}}."),
        ("think", r"<think>So.</think><answer>\boxed{\frac{1}{2}}</answer>"),
    ):
        done = custom(tmp_path / template, tmp_path, "--split", "train", "--template", template)
        assert done.returncode == 0, done.stderr
        (row,) = rows(tmp_path / template)
        assert compute_score("math", response, row["reward_model"]["ground_truth"])["acc"] == 1.0


@pytest.mark.parametrize("template", ["boxed", "hash", "think", "reasoning"])
def test_a_template_that_the_scorer_cannot_read_is_refused(tmp_path, template):
    write_lines(tmp_path / "source" / "train.jsonl", [{"question": "1+6=", "answer": "7"}])
    options = ["--split", "train", "--template", template]
    done = custom(tmp_path / "out", tmp_path / "source", *options, data_source="arithmetic")
    refused(done, f"--template {template}", "'arithmetic'", "Templates that it reads: none")
    assert not (tmp_path / "out").exists()


def png(colour):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(picture, "png")
    return picture.getvalue()


@pytest.fixture
def pictures(tmp_path):
    """A folder with two pictures."""
    (tmp_path / "source" / "images").mkdir(parents=True)
    for colour in ("red", "blue"):
        (tmp_path / "source" / "images" / f"{colour}.png").write_bytes(png(colour))
    return tmp_path / "source"


def test_images_are_found_beside_the_file_and_marked_before_the_question(tmp_path, pictures):
    records = [
        {"question": "Which colour?", "answer": "1", "picture": "images/red.png"},
        {"question": "Like <image>, so <image>?", "answer": "2", "picture": ["images/red.png", "images/blue.png"]},
        {"question": "Both?", "answer": "3", "picture": ["images/blue.png", "images/red.png"]},
        {"question": "By bytes?", "answer": "4", "picture": {"path": str(pictures / "images" / "blue.png")}},
    ]
    write_lines(pictures / "train.jsonl", records)
    options = ["--split", "train", "--image-column", "picture"]
    done = custom(tmp_path / "out", pictures, *options, data_source="hiyouga/geometry3k")
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out")
    assert [row["prompt"][-1]["content"].split("?")[0] for row in found] == [
        "<image>Which colour",
        "Like <image>, so <image>",
        "<image><image>Both",
        "<image>By bytes",
    ]
    red, blue = ({"bytes": png(colour), "path": None} for colour in ("red", "blue"))
    assert [row["images"] for row in found] == [[red], [red, blue], [blue, red], [blue]]


def test_images_within_parquet_are_read(tmp_path):
    records = [{"question": "Which?", "answer": "1", "image": {"bytes": png("red"), "path": "red.png"}}]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "train.parquet")
    options = ["--split", "train", "--image-column", "image"]
    done = custom(tmp_path / "out", tmp_path, *options, data_source="hiyouga/geometry3k")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out")[0]["images"] == [{"bytes": png("red"), "path": None}]


BAD_IMAGES = {
    "missing": ("images/green.png", ["green.png", "No such file", "--drop image"]),
    "a folder": ("images", ["images", "--drop image"]),
    "no image": ("notes.txt", ["notes.txt", "not readable as an image", "--drop image"]),
    "truncated": ("images/short.png", ["short.png", "not readable as an image", "--drop image"]),
    "nothing": (None, ["column 'picture'"]),
    "a number": (7, ["column 'picture'", "int instead of an image"]),
    "too few": (["images/red.png"], ["2 <image> in the prompt and 1 image", "--drop image"]),
    "none at all": ([], ["<image>", "--drop image"]),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_named(tmp_path, pictures, case):
    picture, expected = BAD_IMAGES[case]
    (pictures / "notes.txt").write_text("These are notes.")
    (pictures / "images" / "short.png").write_bytes(png("red")[:-30])
    question = "<image> or <image>?" if case in ("too few", "none at all") else "q"
    good = {"question": "Which?", "answer": "1", "picture": "images/red.png"}
    write_lines(pictures / "train.jsonl", [good, {"question": question, "answer": "2", "picture": picture}])
    options = ["--split", "train", "--image-column", "picture"]
    done = custom(tmp_path / "out", pictures, *options, data_source="hiyouga/geometry3k")
    told = refused(done, f"{pictures / 'train.jsonl'}, row 2", *expected)
    assert " object at 0x" not in told
    assert not (tmp_path / "out").exists()


def test_the_same_question_with_another_image_is_another_problem(tmp_path, pictures):
    train = [{"question": "Find x.", "answer": "1", "picture": "images/red.png"}]
    test = [{"question": "Find x.", "answer": "2", "picture": "images/blue.png"}]
    write_lines(pictures / "train.jsonl", train)
    write_lines(pictures / "test.jsonl", test)
    done = custom(tmp_path / "out", pictures, "--image-column", "picture", data_source="hiyouga/geometry3k")
    assert done.returncode == 0, done.stderr
    write_lines(pictures / "test.jsonl", train)
    done = custom(tmp_path / "out", pictures, "--image-column", "picture", data_source="hiyouga/geometry3k")
    refused(done, "overlap", "the same problem as test row 1")


@pytest.mark.parametrize("suffix", WRITERS)
def test_holdout_splits_one_file_into_disjoint_parts(tmp_path, suffix):
    file = tmp_path / f"problems{suffix}"
    WRITERS[suffix](file, RECORDS)
    done = custom(tmp_path / "out", file, "--holdout", 8)
    assert done.returncode == 0, done.stderr
    train, test = asked(tmp_path / "out"), asked(tmp_path / "out", "test")
    assert (len(train), len(test)) == (32, 8)
    assert sorted(train + test) == sorted(record["question"] for record in RECORDS)
    for split in ("train", "test"):
        for row in rows(tmp_path / "out", split):
            record = RECORDS[row["extra_info"]["index"]]
            assert row["prompt"][0]["content"].startswith(record["question"])
            assert row["reward_model"]["ground_truth"] == record["answer"]
            assert row["extra_info"]["split"] == split


def test_the_seed_chooses_what_is_held_out(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS)
    held_out = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / str(number)
        assert custom(out, file, "--holdout", 8, "--seed", seed).returncode == 0
        held_out.append(asked(out, "test"))
    assert held_out[0] == held_out[1] != held_out[2]
    assert held_out[0] != [record["question"] for record in RECORDS[:8]]


def test_blank_lines_are_not_held_out(tmp_path):
    lines = [line for record in RECORDS[:12] for line in (record, b"", b"", b"")]
    file = write_lines(tmp_path / "problems.jsonl", lines)
    done = custom(tmp_path / "out", file, "--holdout", 4)
    assert done.returncode == 0, done.stderr
    assert (len(asked(tmp_path / "out")), len(asked(tmp_path / "out", "test"))) == (8, 4)


def test_nothing_can_be_held_out_of_an_empty_file(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", [])
    refused(custom(tmp_path / "out", file, "--holdout", 1), "--holdout 1", f"{file} has 0 rows", "a file with more")


def test_an_answer_that_the_chosen_scorer_does_not_know_is_told_with_its_name(tmp_path):
    write_lines(tmp_path / "train.jsonl", [{"question": "Who?", "answer": "Anna"}])
    done = custom(tmp_path / "out", tmp_path, "--split", "train", data_source="openai/gsm8k")
    refused(done, f"{tmp_path / 'train.jsonl'}, row 1: the scorer of 'openai/gsm8k' fails on the ground truth 'Anna'")


@pytest.mark.parametrize("holdout", [40, 41])
def test_not_everything_can_be_held_out(tmp_path, holdout):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS)
    refused(custom(tmp_path / "out", file, "--holdout", holdout), f"--holdout {holdout}", str(file), "40 rows")
    assert not (tmp_path / "out").exists()


def test_holdout_is_refused_for_a_folder_that_has_its_splits(tmp_path):
    """Ignored, it would leave the user with another test split than they asked for."""
    folder = tmp_path / "source"
    write_lines(folder / "train.jsonl", RECORDS[:30])
    write_lines(folder / "test.jsonl", RECORDS[30:])
    refused(custom(tmp_path / "out", folder, "--holdout", 4), "--holdout")
    assert not (tmp_path / "out").exists()


def test_a_problem_that_is_both_held_out_and_trained_on_is_refused(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS[:10] * 2)
    done = custom(tmp_path / "out", file, "--holdout", 10, "--keep", "duplicate")
    refused(done, "overlap", "the same problem as test row")


def test_the_training_part_alone_is_compared_with_the_problems_held_out(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS[:10] * 2)
    done = custom(tmp_path / "out", file, "--holdout", 10, "--split", "train", "--keep", "duplicate")
    refused(done, "overlap", "the same problem as test row")


def test_a_limit_counts_within_each_part(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS)
    everything, few = tmp_path / "everything", tmp_path / "few"
    custom(everything, file, "--holdout", 8)
    assert custom(few, file, "--holdout", 8, "--limit", 5).returncode == 0
    for split in ("train", "test"):
        assert asked(few, split) == asked(everything, split)[:5]


def test_one_file_is_one_split_unless_some_of_it_is_held_out(tmp_path):
    file = write_lines(tmp_path / "problems.jsonl", RECORDS)
    refused(custom(tmp_path / "out", file), str(file), "--split train", "--split test", "--holdout")
    assert not (tmp_path / "out").exists()


def test_the_folder_below_data_has_the_name_that_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    write_lines(tmp_path / "source" / "train.jsonl", RECORDS)
    prepared("custom", "--source", "source", "--name", "algebra-1", "--data-source", "math", "--split", "train")
    assert sorted(contents(tmp_path / "data" / "algebra-1")) == sorted(
        ["card.md", "manifest.json", "prompt_lengths.svg", "train.parquet"]
    )
    assert manifest(tmp_path / "data" / "algebra-1")["name"] == "algebra-1"


BAD_OPTIONS = {
    "no name": ((), ("--data-source", "math", "--source", "."), ["--name"]),
    "no source": (("--name", "mine"), ("--data-source", "math"), ["--source"]),
    "no data source": (("--name", "mine"), ("--source", "."), ["--data-source"]),
    "a path as name": (("--name", "../mine"), ("--source", ".", "--data-source", "math"), ["--name", "'../mine'"]),
    "an empty name": (("--name", ""), ("--source", ".", "--data-source", "math"), ["--name"]),
    "an unknown data source": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "gsm8k"),
        ["--data-source", "no scorer for 'gsm8k'", "openai/gsm8k"],
    ),
    "a structured task": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "kk_logic"),
        ["--data-source", "'kk_logic' have parts", "there are"],
    ),
    "an unknown place": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "math", "--answer-in", "tags"),
        ["--answer-in", "box", "hash", "whole"],
    ),
    "one column for both": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "math", "--question-column", "answer"),
        ["--question-column", "--answer-column", "'answer'"],
    ),
    "a folder to hold out of": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "math", "--holdout", "5"),
        [": no train.jsonl in it"],
    ),
    "no holdout": (
        ("--name", "mine"),
        ("--source", ".", "--data-source", "math", "--holdout", "0"),
        ["--holdout", "above zero"],
    ),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_a_wrong_option_is_named(tmp_path, monkeypatch, case):
    first, second, expected = BAD_OPTIONS[case]
    monkeypatch.chdir(tmp_path)
    refused(prepare("custom", *first, *second), *expected)
    assert contents(tmp_path) == {}


def test_gsm8ks_own_records_are_read_as_gsm8k_reads_them(tmp_path):
    write_lines(tmp_path / "train.jsonl", [problem(1), {"question": "Much?", "answer": "Yes.\n#### 1,250"}])
    done = custom(tmp_path / "mine", tmp_path, "--split", "train", "--answer-in", "hash", data_source="openai/gsm8k")
    assert done.returncode == 0, done.stderr
    prepared("gsm8k", "--source", tmp_path, "--split", "train", "--out", tmp_path / "theirs")
    for mine, theirs in zip(rows(tmp_path / "mine"), rows(tmp_path / "theirs"), strict=True):
        for column in ("data_source", "prompt", "ability", "reward_model"):
            assert mine[column] == theirs[column]


BAD_TABLES = {
    "more cells than columns": ("question,answer\nq,7\nWhat, then?,8\n", ["row 2", "Quote the cells"]),
    "fewer cells than columns": ("question,answer\nq,7\nWhat then?\n", ["row 2", "column 'answer'", "null"]),
    "an open quote": ('question,answer\nq,7\n"What then?,8\n', ["row 2", "not valid CSV"]),
    "only a header": ("question,answer\n", ["no rows"]),
    "nothing": ("", ["no rows"]),
    "latin-1": ("question,answer\nq,7\ncafé?,8\n".encode("latin-1"), ["row", "UTF-8", "iconv -f latin1 -t utf-8"]),
    "no header": ("How much is 1 and 2?,3\nHow much is 2 and 2?,4\n", ["the first line looks like a row"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_csv_file_is_named(tmp_path, case):
    content, expected = BAD_TABLES[case]
    (tmp_path / "train.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    done = custom(tmp_path / "out", tmp_path, "--split", "train")
    refused(done, str(tmp_path / "train.csv"), *expected)
    assert not (tmp_path / "out").exists()


BAD_LISTS = {
    "truncated": ('[{"question": "q", "answer": "7"}, {"ques', ["not valid JSON"]),
    "an object": ('{"rows": []}', ["not a list of objects"]),
    "a list of texts": ('[{"question": "q", "answer": "7"}, "p"]', ["row 2", "str instead of an object"]),
    "latin-1": ('[{"question": "café?", "answer": "7"}]'.encode("latin-1"), ["UTF-8"]),
    "an empty list": ("[]", ["no rows"]),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_bad_json_file_is_named(tmp_path, case):
    content, expected = BAD_LISTS[case]
    (tmp_path / "train.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    done = custom(tmp_path / "out", tmp_path, "--split", "train")
    refused(done, str(tmp_path / "train.json"), *expected)
    assert not (tmp_path / "out").exists()


def test_a_kind_of_file_that_is_not_read_is_named(tmp_path):
    (tmp_path / "problems.xlsx").write_bytes(b"PK")
    told = custom(tmp_path / "out", tmp_path / "problems.xlsx", "--split", "train")
    refused(told, "problems.xlsx", ".xlsx", ".csv", ".jsonl", ".parquet")
