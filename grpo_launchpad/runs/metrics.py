"""verl's metrics of a run, ``metrics.<attempt>.jsonl``: read whole, or as they are being written."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from grpo_launchpad.runs.attempts import read_json_lines

ACCURACY = re.compile(r"val-core/(?P<data_source>.+)/acc/mean@\d+")


def metric_records(path: Path, unreadable: list[str] | None = None) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (step, metric -> number) of each line; see ``read_json_lines`` for ``unreadable``."""
    for record in read_json_lines(path, unreadable):
        step, data = record.get("step"), record.get("data")
        if isinstance(step, int) and isinstance(data, dict):
            yield step, numbers(data)
        elif unreadable is not None:
            unreadable.append(f"{path.name}, a line without step and data")


def numbers(data: dict) -> dict[str, float]:
    """Return the numbers of a record; verl writes with orjson, which turns NaN and infinity into null."""
    values = {name: math.nan if value is None else value for name, value in data.items()}
    return {n: float(v) for n, v in values.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def is_training(values: dict[str, float]) -> bool:
    """Say whether a record is of a training step; step 0 and a resume's first record hold validation only."""
    return any(not metric.startswith("val-") for metric in values)


def accuracies(values: dict[str, float]) -> dict[str, float]:
    """Return data source -> held-out accuracy of a record, those that are numbers."""
    validated = ((metric, value) for metric, value in values.items() if metric.startswith("val-core/"))
    found = ((ACCURACY.fullmatch(metric), value) for metric, value in validated)
    return {match["data_source"]: value for match, value in found if match and math.isfinite(value)}


def merge(history: dict[int, dict[str, float]], records: Iterable[tuple[int, dict[str, float]]]):
    """Add an attempt's records to the history of a run.

    Args:
        history: step -> metrics, changed in place.
        records: of the attempt, in its order.

    Returns:
        the training steps of the attempt, and the earlier attempts' steps that it discards by resuming before them.
    """
    trained: list[int] = []
    abandoned: list[int] = []
    for step, values in records:
        if is_training(values):
            if not trained:
                abandoned = [earlier for earlier in history if earlier >= step]
                for earlier in abandoned:
                    del history[earlier]
            trained.append(step)
        # A resume validates first and logs that under the step it resumed from, whose training values must stay.
        history.setdefault(step, {}).update(values)
    return trained, abandoned


def correct_clip_ratio(values: dict[str, float], limit: int | None) -> None:
    """Set the clip ratio of a step to 0 if its longest response stayed below the limit.

    verl 0.9.1's V1 trainer pads to the longest response of the batch and counts responses of that length as clipped
    (``compute_data_metrics`` in ``verl/trainer/ppo/metric_utils.py``), although none may have reached the limit.
    """
    if limit and values.get("response_length/max", math.inf) < limit and "response_length/clip_ratio" in values:
        values["response_length/clip_ratio"] = 0.0


class GrowingFile:
    """The lines of a file that is still being written, each once, when it is whole."""

    def __init__(self, path: Path):
        self.path = path
        self.read = 0

    def lines(self) -> list[str]:
        """Return the lines since the last call; none if the file is not there yet. A file that shrank starts anew."""
        try:
            with self.path.open("rb") as stream:
                if stream.seek(0, 2) < self.read:
                    self.read = 0
                stream.seek(self.read)
                data = stream.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.read += len(whole)
        return whole.decode("utf-8", errors="replace").splitlines()

    def objects(self) -> list[dict]:
        """Return the JSON objects among the new lines."""
        found = []
        for line in self.lines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record)
        return found
