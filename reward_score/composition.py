"""A reward as a weighted sum of named components: ``score = sum of weight * component``.

In one string, terms separated by commas, each ``name``, its options in parentheses, and its weight after a colon::

    correctness:1.0,format:0.2,length(target=200):-0.001

as YAML, in a file or as a mapping or list that a program holds::

    correctness: 1.0                                - correctness:1.0
    format: 0.2                                     - format:0.2
    length: {weight: -0.001, target: 200}           - {name: length, weight: -0.001, target: 200}

A weight that is left out is 1, and a weight of 0 only reports the component. ``reward_score.components`` has the names.
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from reward_score.components import COSTS, PENALTIES, TASK_KEYS, VERDICT, Component, component, fits
from reward_score.data_sources import scorer_of
from reward_score.vote import NO_ANSWER

logger = logging.getLogger("reward_score")

TASK_RESULT = ("score", "acc", "format")
SCORER_ERROR = "scorer_error"
NO_OPTIONS: Mapping[str, object] = MappingProxyType({})
_TERM = re.compile(r"(?P<name>[^():=]*)(?:\((?P<options>.*)\))?\s*(?::(?P<weight>[^():]*))?", re.DOTALL)
_NAMED_VALUES = {"true": True, "false": False, "null": None, "none": None}
# What was logged. A run can fail in every row; its log must stay readable.
_logged: dict[tuple[str, ...], object] = {}
_LOGGED_AT_MOST = 100


class Sample(NamedTuple):
    """One response to score.

    Attributes:
        data_source: decides the task, a key of ``SCORERS``.
        response: the decoded response.
        ground_truth: what the row's ``reward_model`` holds.
        options: options of the task's scorer.
    """

    data_source: str
    response: str
    ground_truth: object = None
    options: Mapping[str, object] = NO_OPTIONS


@dataclass(frozen=True)
class Term:
    """One summand: weight * component."""

    component: Component
    weight: float
    options: dict[str, object]

    @property
    def name(self) -> str:
        return self.component.name

    def __str__(self) -> str:
        options = ",".join(f"{name}={_spelled(value)}" for name, value in self.options.items())
        return f"{self.name}({options}):{self.weight!r}" if options else f"{self.name}:{self.weight!r}"

    def value(self, sample: Sample, truth: object, task: Mapping[str, float] | None) -> float | None:
        """Return the component's value before its weight.

        Args:
            sample: the response and its data source.
            truth: its ground truth as a scorer takes it.
            task: the result of the task's scorer, None if that failed.

        Returns:
            The value, or None if the component failed or its task did: an unknown verdict is not a wrong one.
        """
        part = self.component
        if part.needs_task and task is None:
            return None
        if part.location is None:
            return task[TASK_KEYS[part.name]]
        arguments = (sample.response, truth) if part.takes_truth else (sample.response,)
        verdict = {VERDICT: task["acc"]} if part.takes_acc else {}
        try:
            return _number(part.function(*arguments, **verdict, **self.options))
        except Exception as error:
            log_failure(sample.data_source, f"component '{self.name}'", error)
            return None


class Composition:
    """A weighted sum of components. Without terms it is the task's own ``score``.

    Attributes:
        terms: the summands in the order in which they were named.
    """

    def __init__(self, terms: Sequence[Term] = ()):
        self.terms = tuple(terms)
        self._needs_task = not self.terms or any(term.component.needs_task for term in self.terms)

    @classmethod
    def parse(cls, rewards: object) -> "Composition":
        """Read a composition, see the module's text for the forms.

        Args:
            rewards: the string, the path of a ``.yaml`` file, a mapping or list (OmegaConf's as well), a composition,
                or None for the task's own score.

        Raises:
            ValueError: for anything that is no composition; the text names the part and what is allowed instead.
        """
        if rewards is None or isinstance(rewards, Composition):
            return rewards or cls()
        if isinstance(rewards, str) and rewards.strip().endswith((".yaml", ".yml")):
            rewards = _read_yaml(Path(rewards.strip()).expanduser())
        terms = list(_terms(plain(rewards)))
        if not terms:
            raise ValueError("rewards: names no component; write for example 'correctness:1.0,format:0.2'")
        names = [term.name for term in terms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"rewards: '{twice}' is named twice; give it one term with one weight")
        return cls(terms)

    def __reduce__(self):
        return Composition, (self.terms,)

    def __str__(self) -> str:
        """The string form, which ``parse`` reads back."""
        return ",".join(map(str, self.terms))

    def score(self, sample: Sample) -> dict[str, float]:
        """Score one response, see ``score_and_answer``. Never raises."""
        return self.score_and_answer(sample)[0]

    def score_and_answer(self, sample: Sample) -> tuple[dict[str, float], str | None]:
        """Score one response. Never raises.

        Returns:
            ``score``: the weighted sum, or the task's own score if there are no terms.
            ``acc``: the task's verdict, 0.0 if its scorer failed.
            the value of each component under its name, before its weight; without terms the task's ``format``.
            ``scorer_error``: 1.0 if something failed that the score is made of, whose value is then 0.0, else 0.0.
            Each kind of failure is logged once. A verdict that no component asks for is none of these.
            Beside them the answer that the task's scorer read, "" for none or if it failed; None if answers to the task
            cannot be counted.
        """
        response, truth, task, answer = _text(sample.response), None, None, NO_ANSWER
        if response is None:
            log_failure(sample.data_source, "the response", TypeError(f"{type(sample.response).__name__}, not a text"))
            return {"score": 0.0, "acc": 0.0, **dict.fromkeys(self.names(), 0.0), SCORER_ERROR: 1.0}, answer
        if response is not sample.response:
            sample = sample._replace(response=response)
        failed = False
        try:
            truth = plain_truth(sample.ground_truth)
            found = scorer_of(sample.data_source)(response, truth, **sample.options)
            task = {key: _number(found[key]) for key in TASK_RESULT}
            answer = found.get("pred")
            if found.get(SCORER_ERROR):  # a scorer that knows of its failure
                failed = self._task_failed(sample, RuntimeError("gave no verdict"))
        except Exception as error:
            failed = self._task_failed(sample, error)
        if not self.terms:
            return {**(task or dict.fromkeys(TASK_RESULT, 0.0)), SCORER_ERROR: float(failed)}, answer

        values = {}
        for term in self.terms:
            value = term.value(sample, truth, task)
            failed |= value is None
            values[term.name] = value or 0.0
        total = sum(term.weight * values[term.name] for term in self.terms)
        if not math.isfinite(total):
            failed, total = True, 0.0
            log_failure(sample.data_source, "the weighted sum", OverflowError("is not finite"))
        return {"score": total, "acc": task["acc"] if task else 0.0, **values, SCORER_ERROR: float(failed)}, answer

    def _task_failed(self, sample: Sample, error: Exception) -> bool:
        """Log that the task's scorer failed, if the score needs it, and say whether it does."""
        if self._needs_task:
            log_failure(sample.data_source, "the task's scorer", error)
        return self._needs_task

    def score_without_truth(self, data_source: str, response: str) -> dict[str, float]:
        """Score by those components that need neither ground truth nor verdict. Never raises.

        Returns:
            The value of each such component under its name, and ``scorer_error``.
        """
        sample = Sample(data_source, response)
        free = [term for term in self.terms if not (term.component.needs_task or term.component.takes_truth)]
        values = {term.name: term.value(sample, None, None) for term in free}
        failed = float(None in values.values())
        return {name: value or 0.0 for name, value in values.items()} | {SCORER_ERROR: failed}

    @property
    def needs_truth(self) -> bool:
        """Whether any part of the score needs the ground truth."""
        return self._needs_task or any(term.component.takes_truth for term in self.terms)

    def names(self) -> tuple[str, ...]:
        """Return the keys that ``score`` adds to ``score``, ``acc`` and ``scorer_error``."""
        return tuple(term.name for term in self.terms) or ("format",)


def plain_truth(value: object) -> object:
    """Return a ground truth with numbers as text, since parquet files and programs hold ``18``, ``18.0`` or numpy's 18.

    Text, mappings, lists and None stay as they are.
    """
    if isinstance(value, str) or value is None:
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a numpy scalar; numpy itself is not needed
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return bytes(value).decode("utf-8", errors="replace") if isinstance(value, bytes | bytearray) else None


def _number(value: object) -> float:
    if isinstance(value, str | bytes) or value is None:
        raise TypeError(f"{type(value).__name__} instead of a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    return number


def log_failure(data_source: object, part: str, error: Exception) -> None:
    """Log that a part of a reward failed, once for each data source, part and type of error."""
    source = ascii(data_source)[:100] if isinstance(data_source, str) else type(data_source).__name__
    kind = type(error).__name__
    try:  # half a surrogate pair in an answer must not break the log, nor a long answer fill it
        reason = ascii(str(error))[:300]
    except Exception:
        reason = "its text cannot be read"
    _warn_once(
        (source, part, kind),
        f"scorer_error: {part} failed for data_source {source} with {kind}: {reason}; it counts as 0, and this kind is "
        "not logged again",
    )


def _warn_once(kind: tuple[str, ...], text: str) -> None:
    ticket = object()
    if len(_logged) < _LOGGED_AT_MOST and _logged.setdefault(kind, ticket) is ticket:
        logger.warning("%s", text)


def plain(value: object) -> object:
    """Return a value with its mappings and sequences as dict and list, which OmegaConf's are not."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(inner) for inner in value]
    return value


def _terms(rewards: object) -> Iterator[Term]:
    if isinstance(rewards, str):
        for text in _split(rewards):
            yield _term_of_text(text)
    elif isinstance(rewards, dict):
        for name, given in rewards.items():
            options = dict(given) if isinstance(given, dict) else {"weight": given}
            yield _term(name, options.pop("weight", 1.0), options)
    elif isinstance(rewards, list):
        for item in rewards:
            if isinstance(item, dict):
                if "name" not in item:
                    raise ValueError(
                        f"rewards: {item} has no 'name'; write a term as {{name: length, weight: -0.001, target: 200}}"
                    )
                options = dict(item)
                yield _term(options.pop("name"), options.pop("weight", 1.0), options)
            else:
                yield from _terms(item)
    else:
        raise ValueError(
            f"rewards: {rewards!r} is {type(rewards).__name__}; write a text such as 'correctness:1.0,format:0.2', a "
            "mapping of names to weights, a list of terms, or the path of a .yaml file"
        )


def _term_of_text(text: str) -> Term:
    match = _TERM.fullmatch(text)
    name = match["name"].strip() if match else ""
    if not name:
        raise ValueError(f"rewards: cannot read {text!r}; a term is name:weight or name(option=value,...):weight")
    if match["weight"] is not None and not match["weight"].strip():
        raise ValueError(f"rewards: {text!r} has a colon but no weight; write for example '{name}:1.0'")
    found = component(name)
    hints = found.option_hints()
    options: dict[str, object] = {}
    for part in _split(match["options"] or ""):
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not option or not value:
            raise ValueError(f"rewards: cannot read the option {part.strip()!r} of '{name}'; write option=value")
        if option in options:
            raise ValueError(f"rewards: '{name}' has the option '{option}' twice")
        options[option] = read_value(value, hints.get(option))
    return _term(name, 1.0 if match["weight"] is None else match["weight"], options)


def _term(name: object, weight: object, options: dict[str, object]) -> Term:
    found = component(str(name))
    try:
        number = float("nan") if isinstance(weight, bool) else float(weight)
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise ValueError(f"rewards: the weight of '{name}' is {weight!r}; it must be a finite number, such as 0.2")
    found.check_options(options)
    if (number < 0 and found.name in PENALTIES) or (number > 0 and found.name in COSTS):
        never = "above 0" if found.name in PENALTIES else "below 0"
        _warn_once(
            ("weight", found.name, str(number)),
            f"rewards: '{found.name}' is never {never}, so its weight of {number:g} rewards what it is there to punish;"
            f" write {-number:g}",
        )
    return Term(found, number, options)


def read_value(text: str, hint: object = None) -> object:
    """Return the value that an option's text means: a number, true, false, null, or a text, with or without quotes.

    Args:
        text: what stands behind ``=``.
        hint: the option's type; a number stays a text where a text is wanted.
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if hint is str:
        return text
    if text.lower() in _NAMED_VALUES:
        value = _NAMED_VALUES[text.lower()]
    else:
        value = next((number for number in _numbers(text)), text)
    return text if hint is not None and not fits(value, hint) and fits(text, hint) else value


def _numbers(text: str) -> Iterator[float]:
    for kind in (int, float):
        try:
            yield kind(text)
        except ValueError:
            continue


def _spelled(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"' if "'" in value else f"'{value}'"
    named = next((name for name, known in _NAMED_VALUES.items() if value is known), None)
    return named or repr(value)


def _split(text: str) -> list[str]:
    """Split at the commas that stand outside parentheses and quotes; a blank text has no parts."""
    parts, start, depth, quote = [], 0, 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
        if depth < 0:
            break
    if depth or quote:
        raise ValueError(f"rewards: brackets or quotes do not match in {text!r}")
    parts.append(text[start:])
    return [part.strip() for part in parts] if text.strip() else []


def _read_yaml(path: Path) -> object:
    import yaml

    class UniqueKeys(yaml.SafeLoader):
        """PyYAML keeps the last of two equal keys and says nothing."""

        def construct_mapping(self, node, deep=False):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise ValueError(f"rewards: {path} names '{twice}' twice")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except OSError as error:
        raise ValueError(f"rewards: {path} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"rewards: {path} is not valid YAML ({' '.join(str(error).split())})") from error
