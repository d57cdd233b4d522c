"""An engine that answers sums without a model, and a model's folder for it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from grpo_launchpad.inference.engine import Answer, Step
from grpo_launchpad.models import TINY_FOLDER


class FakeEngine:
    """Answers sums: right with a chance that is the model's, else one of two wrong answers; a token a step.

    Attributes:
        asked: keys of all requests that any engine of this kind was given.
        stops_after: answers after which it raises KeyboardInterrupt, as Ctrl-C does.
    """

    asked: list[str] = []
    stops_after: int | None = None
    skill = 0.7
    at_a_time = 8

    def __init__(self, folder: Path, **_):
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(self, requests, sampling) -> Iterator[Step]:
        waiting, running, given = iter(requests), {}, 0
        while True:
            while len(running) < self.at_a_time and (request := next(waiting, None)):
                type(self).asked.append(request.key)
                running[request.key] = (self._answer(request, sampling), request, 0)
            if not running:
                return
            answers = []
            for key, (tokens, request, made) in list(running.items()):
                running[key] = (tokens, request, made + 1)
                if made + 1 >= min(len(tokens), request.max_tokens):
                    del running[key]
                    given += 1
                    answers.append(Answer(key, tokens[: request.max_tokens], len(tokens) > request.max_tokens))
            yield Step(len(running) + len(answers), len(running), answers)
            if self.stops_after is not None and given >= self.stops_after:
                raise KeyboardInterrupt

    def close(self) -> None:
        pass

    def _answer(self, request, sampling) -> list[int]:
        a, b = map(int, self._tokenizer.decode(request.prompt, skip_special_tokens=True).rstrip("=").split("+"))
        draw = random.Random(request.seed)
        right = sampling.temperature == 0 or draw.random() < self.skill
        text = str(a + b if right else a + b + draw.choice((1, 10)))
        return [*self._tokenizer.encode(text), self._tokenizer.eos_token_id]


@pytest.fixture
def engine() -> type[FakeEngine]:
    """A kind of engine of the test's own, whose attributes it may change."""
    return type("Engine", (FakeEngine,), {"asked": []})


@pytest.fixture
def tiny() -> str:
    return str(TINY_FOLDER)
