"""manifest.json: where the rows come from, what was left out and why, and what the files are."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from data_prep.pipeline.data_set import DataSet
from data_prep.pipeline.prompt_lengths import TOKENIZER_FILES, as_the_model_sees_it, find_tokenizer, summary
from data_prep.pipeline.records import reading
from data_prep.pipeline.shard import Form, Shard, Task
from data_prep.pipeline.sources import Source

NAME = "manifest.json"
ROOT = Path(__file__).resolve().parents[2]
CODE = ("data_prep", "reward_score")
BINS = 40


def file_names(split: str, count: int) -> list[str]:
    """Return the names of a split's files: one, or numbered as on the Hugging Face hub."""
    if count == 1:
        return [f"{split}.parquet"]
    return [f"{split}-{number:05}-of-{count:05}.parquet" for number in range(count)]


def describe_source(source: Source) -> dict:
    """Return a source with the digest of each of its files."""
    files = [describe_file(file, file.relative_to(source.root).as_posix()) for file in source.files]
    return {"name": source.name, "revision": source.revision, "files": files}


def describe_file(file: Path, name: str) -> dict:
    """Return what identifies a file's content, under this name.

    Raises:
        DataError: if it cannot be read.
    """
    digest = sha256(file)
    return {"file": name, "bytes": file.stat().st_size, "sha256": digest}


def describe_tokenizer(name: str) -> list[dict]:
    """Return the files of a tokenizer, which may be changed under the same name.

    Raises:
        DataError: if they are found nowhere or cannot be read.
    """
    folder = Path(find_tokenizer(name))
    files = sorted({file for pattern in TOKENIZER_FILES for file in folder.glob(pattern)})
    return [describe_file(file, file.name) for file in files if file.is_file()]


def describe_split(tasks: Sequence[Task], shard: Shard, form: Form) -> dict:
    """Return what a split's files hold and what was found on the way."""
    names = file_names(tasks[0].split.name, len(tasks))
    policy = tasks[0].policy
    found = {
        reason: {"rows": count, "indices": shard.findings.indices[reason], "first": shard.findings.told[reason]}
        for reason, count in shard.findings.rows.items()
    }
    return {
        "rows_in": shard.rows_in,
        "rows_out": shard.rows,
        "left_out": {reason: what for reason, what in found.items() if reason not in policy.keep},
        "kept": {reason: what for reason, what in found.items() if reason in policy.keep},
        "compared_with_held_out_problems": len(tasks[0].held_out.names) if tasks[0].held_out else 0,
        "files": [
            {**describe_file(task.shard, name), "rows": pq.read_metadata(task.shard).num_rows}
            for name, task in zip(names, tasks, strict=True)
        ],
        "columns": {field.name: str(field.type) for field in pq.read_schema(tasks[0].shard)},
        "answer_types": dict(sorted(shard.types.items(), key=lambda item: (-item[1], item[0]))),
        "prompt_length": {
            "unit": "tokens" if form.tokenizer else "characters",
            "tokenizer": form.tokenizer,
            **summary(shard.lengths),
            "histogram": histogram(shard.lengths),
        },
        "example": {
            "prompt": as_the_model_sees_it(shard.example["prompt"], form.tokenizer),
            "ground_truth": shard.example["reward_model"]["ground_truth"],
        },
    }


def histogram(lengths: Counter[int]) -> list[list[int]]:
    """Return [first length, rows] of equal intervals without gaps: forty at most up to the length that 99 % of the
    rows keep to, and a last one with all that are longer."""
    low, high = min(lengths), summary(lengths)["p99"]
    width = (high - low) // BINS + 1
    counts = Counter({number: 0 for number in range((high - low) // width + 1)})
    for length, rows in lengths.items():
        counts[(min(length, high + width) - low) // width] += rows
    return [[low + number * width, rows] for number, rows in sorted(counts.items())]


def fingerprint(data_set: DataSet, sources: dict[str, dict], options: dict[str, object]) -> str:
    """Return a digest of everything that decides the output: the sources, the options, and the code."""
    files = sorted(file for folder in CODE for file in (ROOT / folder).rglob("*.py"))
    code = {file.relative_to(ROOT).as_posix(): sha256(file) for file in files}
    read = {name: {key: source[key] for key in ("revision", "files")} for name, source in sources.items()}
    known = {"data_set": data_set.name, "sources": read, "options": options, "code": code}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def is_ours(out: Path) -> bool:
    """Say whether a folder has a manifest of this module; one without splits is that of a run that did not finish."""
    return _read(out) is not None


def is_up_to_date(out: Path, fingerprints: Mapping[str, str]) -> bool:
    """Say whether these splits were prepared from the same input in the same way, and their files are still whole."""
    described = _read(out) or {}
    return all(
        name in described
        and described[name]["fingerprint"] == fingerprint
        and all(_is_whole(out / file, digest) for file, digest in _files(described[name]))
        for name, fingerprint in fingerprints.items()
    )


def content(data_set: DataSet, out: Path, made: dict[str, dict]) -> dict:
    """Return the manifest: the splits just made, and those that an earlier run left in the folder."""
    earlier = {
        name: what
        for name, what in (_read(out, data_set.name) or {}).items()
        if name not in made and all((out / file).exists() for file, _ in _files(what))
    }
    splits = earlier | made
    return {
        "name": data_set.name,
        "title": data_set.title,
        "homepage": data_set.homepage,
        "licence": data_set.licence,
        "splits": {split.name: splits[split.name] for split in data_set.splits if split.name in splits},
    }


def write(manifest: dict, file: Path) -> None:
    """Write a manifest.

    Raises:
        OSError: if it cannot be written.
    """
    file.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal.

    Raises:
        DataError: if it cannot be read.
    """
    with reading(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(out: Path, data_set: str | None = None) -> dict[str, dict] | None:
    """Return the splits of an earlier manifest, none if it is another data set's; None if this module did not write
    it."""
    try:
        found = json.loads((out / NAME).read_text(encoding="utf-8"))
        splits = {name: split for name, split in found["splits"].items() if split["fingerprint"] and _files(split)}
        return splits if data_set in (None, found["name"]) else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _files(split: dict) -> list[tuple[str, str]]:
    return [(file["file"], file["sha256"]) for file in split["files"]]


def _is_whole(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file) == digest
