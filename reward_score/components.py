"""The rewards that a composition can name, and the options that each takes.

A component is a function of the response, or of the response and its ground truth, that returns one number. Its options
are the keyword-only arguments of its signature; one called ``acc`` is no option but the task's verdict on the response.
Three components are what the row's task says: ``correctness`` is its ``acc``, ``format`` its ``format``, ``task`` its
``score``. The functions of ``reward_score.tutorial`` are components under their own names.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from reward_score.data_sources import load, nearest

# component -> the key of the task scorer's result
TASK_KEYS = {"correctness": "acc", "format": "format", "task": "score"}
VERDICT = "acc"
# Penalties are never above 0 and costs never below; a weight of the wrong sign rewards what they are there to punish.
PENALTIES = ("overlong", "repetition", "reward_len")
COSTS = ("length",)
TUTORIAL_NAMES = (
    "correctness_reward_func",
    "int_reward_func",
    "strict_format_reward_func",
    "soft_format_reward_func",
    "xmlcount_reward_func",
    "correctness_reward",
    "digit_reward",
    "hard_format_reward",
    "mark_reward",
    "reward_len",
)


@dataclass(frozen=True)
class Component:
    """A reward by name; ``location`` is its ``module:function``, None for a part of the task's result."""

    name: str
    location: str | None

    def __reduce__(self):
        return component, (self.name,)

    @cached_property
    def function(self) -> Callable[..., float]:
        """The function of a response; those of the tutorials take a batch."""
        function = load(self.location)
        if function.__module__ != "reward_score.tutorial":
            return function

        def judge_one(response: str, ground_truth: str) -> float:
            return function(prompts=[""], completions=[response], answer=[ground_truth])[0]

        return judge_one

    @cached_property
    def takes_truth(self) -> bool:
        """Whether the function takes the ground truth."""
        if self.location is None:
            return False
        parameters = inspect.signature(self.function).parameters.values()
        return sum(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters) > 1

    @cached_property
    def takes_acc(self) -> bool:
        """Whether the function takes the task's verdict."""
        return self.location is not None and VERDICT in inspect.signature(self.function).parameters

    @cached_property
    def needs_task(self) -> bool:
        """Whether the component is a part of the task's result, or a function of its verdict."""
        return self.location is None or self.takes_acc

    def option_hints(self) -> dict[str, Any]:
        """Return the component's options with their types."""
        return {} if self.location is None else option_hints(self.function)

    def check_options(self, options: Mapping[str, object]) -> None:
        """Check the options by name, type and value.

        Raises:
            ValueError: for an option that the component does not have, lacks, or cannot take.
        """
        where = f"reward component '{self.name}'"
        if self.location is None:
            if options:
                raise ValueError(
                    f"{where} takes no options, got {', '.join(options)}; the task scorer's options stand beside the "
                    "composition, not in it (how: docs/en/rewards.md)"
                )
            return
        check_options(self.function, options, where)
        arguments = ("", "0") if self.takes_truth else ("",)
        verdict = {VERDICT: 0.0} if self.takes_acc else {}
        try:
            self.function(*arguments, **verdict, **options)
        except (ValueError, TypeError) as error:  # the function knows which values are possible
            raise ValueError(f"{where}: {error}") from error


COMPONENTS: dict[str, Component] = {
    name: Component(name, location)
    for name, location in (
        *((name, None) for name in TASK_KEYS),
        ("strict_format", "reward_score.tag_format:strict_format"),
        ("soft_format", "reward_score.tag_format:soft_format"),
        ("tag_count", "reward_score.tag_count:tag_count"),
        ("integer_answer", "reward_score.integer_answer:integer_answer"),
        ("mark", "reward_score.mark:mark"),
        ("length", "reward_score.length:length_distance"),
        ("cosine_length", "reward_score.length:cosine_length"),
        ("overlong", "reward_score.length:overlong"),
        ("repetition", "reward_score.repetition:repetition"),
        ("language_consistency", "reward_score.language:language_consistency"),
        *((name, f"reward_score.tutorial:{name}") for name in TUTORIAL_NAMES),
    )
}


def component(name: str) -> Component:
    """Return the component of this name.

    Raises:
        ValueError: naming the nearest names and all that there are.
    """
    if name not in COMPONENTS:
        raise ValueError(f"no reward component '{name}'{nearest(name, COMPONENTS)}; there are: {', '.join(COMPONENTS)}")
    return COMPONENTS[name]


def check_options(function: Callable, options: Mapping[str, object], where: str) -> None:
    """Check options against a function's keyword-only arguments, by name and type.

    Raises:
        ValueError: for an option that it does not have, one that it needs, or one of the wrong type.
    """
    known = option_hints(function)
    for name, value in options.items():
        if name not in known:
            there_are = f"its options: {', '.join(known)}" if known else "it has no options"
            raise ValueError(f"{where} has no option '{name}'{nearest(name, known)}; {there_are}")
        if not fits(value, known[name]):
            raise ValueError(f"{where}: {name}={value!r} is not {describe(known[name])}")
    missing = [name for name in _required_options(function) if name not in options]
    if missing:
        raise ValueError(f"{where} needs the option {' and '.join(map(repr, missing))}, as in {missing[0]}=...")


@cache
def option_hints(function: Callable) -> dict[str, Any]:
    """Return each option of a function with its type, in the order of the signature."""
    hints = get_type_hints(function)
    return {parameter.name: hints.get(parameter.name, Any) for parameter in _options(function)}


def fits(value: object, hint: Any) -> bool:
    """Say whether a value can stand where ``hint`` is asked for. A whole number is a float, a bool is no number."""
    origin = get_origin(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(hint))
    if hint in (None, NoneType):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or hint
    return isinstance(value, kind) if isinstance(kind, type) else True


def describe(hint: Any) -> str:
    """Return a type as a user would say it."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(describe, get_args(hint)))
    names = {float: "a number", int: "a whole number", str: "a text", bool: "true or false", NoneType: "null"}
    return names.get(hint, str(getattr(hint, "__name__", hint)))


def _options(function: Callable) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.kind is one.KEYWORD_ONLY and one.name != VERDICT]


def _required_options(function: Callable) -> list[str]:
    return [parameter.name for parameter in _options(function) if parameter.default is parameter.empty]
