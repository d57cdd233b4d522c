"""The labelled sets, read from the data folder (``--data``)."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reward_score.peers import BOXED, Peer

LABELLED = (
    "gsm8k_openai_solutions",
    "hendrycks_tests",
    "nemo_skills_tests",
    "misc_unit_tests",
    "math_verify_tests",
    "lighteval_tests",
    "metamorphic",
)


@dataclass(frozen=True)
class Row:
    """A response with its ground truth.

    Attributes:
        text: the response, or what stands before its final answer.
        answer: the final answer, to be written after the text in a scorer's own form; None if the text is all.
        gold: the ground truth.
        label: whether the response is right.
        rule: how the row was made, for sets that were made by rule.
        soft: a question of policy, left out of the hard counts.
        boxed: the text has the answer in a box already.
    """

    text: str
    answer: str | None
    gold: str
    label: bool = True
    rule: str = ""
    soft: bool = False
    boxed: bool = False

    def response(self, peer: Peer) -> str:
        """Return the response in the form that the scorer reads."""
        if self.answer is None or (self.boxed and peer.form == BOXED):
            return self.text
        return f"{self.text}\n{peer.write(self.answer)}" if self.text else peer.write(self.answer)


def _read(file: Path) -> list[dict]:
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def thin(rows: list[Row], limit: int | None) -> list[Row]:
    """Return at most ``limit`` of the rows, evenly spaced; all of them for None."""
    return rows if limit is None else rows[:: -(-len(rows) // limit)]


def last_box(solution: str) -> str:
    r"""Return the content of the last ``\boxed{...}``, the ground truth of a MATH problem."""
    start = solution.rindex(r"\boxed{") + len(r"\boxed{")
    depth, end = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(solution[end], 0)
        end += 1
    return solution[start : end - 1]


def gsm8k(data: Path) -> list[Row]:
    """Return GSM8K test's own solutions as responses; the ground truth has no thousands comma, as in verl's data."""
    rows = []
    for row in _read(data / "gsm8k" / "test.jsonl"):
        solution, answer = row["answer"].split("####")
        rows.append(Row(solution.rstrip(), answer.strip(), answer.strip().replace(",", "")))
    return rows


def math(data: Path) -> list[Row]:
    r"""Return MATH test's own solutions as responses; the ground truth is the content of the last ``\boxed``."""
    solutions = [row["solution"] for row in _read(data / "math" / "test.jsonl")]
    return [Row(solution, last_box(solution), last_box(solution), boxed=True) for solution in solutions]


def labelled(data: Path, name: str) -> list[Row]:
    """Return one of the sets of ``grading/``: the names in LABELLED, or "hacks"."""
    return [_labelled_row(row) for row in _read(data / "grading" / f"{name}.jsonl")]


def _labelled_row(row: dict) -> Row:
    text, answer = {
        "answer": lambda pred: ("", pred),
        "response_gsm": _split_gsm8k,
    }.get(row["kind"], lambda pred: (pred, None))(row["pred"])
    rule = ".".join(filter(None, (row.get("category"), row.get("transform"))))
    return Row(text, answer, row["gold"], bool(row["label"]), rule, row.get("soft", False))


def _split_gsm8k(pred: str) -> tuple[str, str | None]:
    """Split a solution that ends in a line ``A: 26``; one without that line is left as it is."""
    text, marker, answer = pred.rpartition("\nA: ")
    return (text, answer.strip()) if marker else (pred, None)
