"""One evaluation: every model answers every problem, the answers are scored, and the numbers come out."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grpo_launchpad.evaluate.answers import Answers, digest_of_model, open_answers
from grpo_launchpad.evaluate.problems import Problem
from grpo_launchpad.evaluate.results import Scored, compare, measure, values_by_problem
from grpo_launchpad.evaluate.sampling import Bar, missing, sample_missing
from grpo_launchpad.evaluate.scoring import Scorer
from grpo_launchpad.inference.engine import Engine, Sampling, prepare_environment
from grpo_launchpad.inference.model_argument import ModelArgument
from grpo_launchpad.inference.prompts import Prompts

VERSION = 1


class EvaluationError(Exception):
    """A mistake of the user's; the text says what mends it."""


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated and how, decided before any model is loaded."""

    models: tuple[ModelArgument, ...]
    files: tuple[Path, ...]
    problems: tuple[Problem, ...]
    scorer: Scorer
    preset: str
    samples: int
    sampling: Sampling
    max_tokens: int
    seed: int
    chat_template_kwargs: dict
    dtype: str
    tensor_parallel: int
    out: Path


def run(evaluation: Evaluation, load: Callable[..., Engine]) -> tuple[dict, list[dict]]:
    """Sample what is missing, score everything, and return the results and a record of each problem."""
    prepare_environment(evaluation.tensor_parallel)  # before PyTorch is imported
    scored: dict[tuple[str, str], list[Scored]] = {}
    about_models = []
    for model in evaluation.models:
        folder = model.folder()
        try:
            about = {"name": model.name, "folder": str(folder), "digest": digest_of_model(folder)}
        except OSError as error:
            raise EvaluationError(f"{error.filename}: cannot be read ({error.strerror})") from error
        about_models.append(about)
        with open_answers(evaluation.out / "answers", about, _sampling(evaluation)) as answers:
            if wanted := missing(answers, evaluation.problems, evaluation.samples):
                _sample(evaluation, model, folder, answers, wanted, load)
            pairs = [
                (problem, answers[problem.key, sample].text)
                for problem in evaluation.problems
                for sample in range(evaluation.samples)
            ]
            verdicts = list(evaluation.scorer.score(pairs))
            for number, problem in enumerate(evaluation.problems):
                first = number * evaluation.samples
                scored.setdefault((model.name, problem.data), []).append(
                    Scored(
                        problem,
                        [answers[problem.key, sample] for sample in range(evaluation.samples)],
                        verdicts[first : first + evaluation.samples],
                    )
                )
    return _results(evaluation, about_models, scored), list(_records(scored))


def _sample(
    evaluation: Evaluation,
    model: ModelArgument,
    folder: Path,
    answers: Answers,
    wanted: list[tuple[Problem, int]],
    load: Callable[..., Engine],
) -> None:
    prompts = Prompts(folder, evaluation.chat_template_kwargs)
    tokens = {problem.key: prompts.tokens(problem.messages) for problem, _ in wanted}
    longest = max(map(len, tokens.values()))
    context = longest + evaluation.max_tokens
    if prompts.longest and context > prompts.longest:
        if longest >= prompts.longest:
            raise EvaluationError(
                f"{model.name} reads {prompts.longest:,} tokens, and a prompt has {longest:,}. Leave it out, or choose "
                "another model"
            )
        context = prompts.longest
        print(
            f"note: {model.name} reads {context:,} tokens, so that an answer has at most {context - longest:,} to "
            f"{context - min(map(len, tokens.values())):,}, not {evaluation.max_tokens:,}",
            file=sys.stderr,
        )
    limits = {key: min(evaluation.max_tokens, context - len(ids)) for key, ids in tokens.items()}
    kept = len(evaluation.problems) * evaluation.samples - len(wanted)
    print(f"{model.name}: loading {folder}", file=sys.stderr)
    engine = load(folder, max_model_len=context, tensor_parallel=evaluation.tensor_parallel, dtype=evaluation.dtype)
    try:
        with Bar(model.name, len(wanted), kept, evaluation.max_tokens) as bar:
            sample_missing(
                engine, wanted, answers, tokens, limits, prompts.text, evaluation.sampling, evaluation.seed, bar
            )
    finally:
        engine.close()


def _sampling(evaluation: Evaluation) -> dict:
    return {
        **asdict(evaluation.sampling),
        "max_tokens": evaluation.max_tokens,
        "seed": evaluation.seed,
        "chat_template_kwargs": evaluation.chat_template_kwargs,
        "dtype": evaluation.dtype,
        "engine": _engine(),
    }


def _engine() -> str:
    try:
        return f"vllm {version('vllm')}"
    except PackageNotFoundError:
        return "vllm"


def _results(evaluation: Evaluation, models: list[dict], scored: dict[tuple[str, str], list[Scored]]) -> dict:
    says_answers = evaluation.scorer.says_answers
    labels = list(dict.fromkeys(problem.data for problem in evaluation.problems))
    first = evaluation.models[0].name
    values = {place: values_by_problem(all_of, says_answers=says_answers) for place, all_of in scored.items()}
    return {
        "version": VERSION,
        "preset": evaluation.preset,
        "samples": evaluation.samples,
        "sampling": _sampling(evaluation),
        "scorer": evaluation.scorer.name,
        "engine": _engine(),
        "models": models,
        "data": [
            {
                "name": label,
                "file": str(path),
                "problems": sum(problem.data == label for problem in evaluation.problems),
            }
            for label, path in zip(labels, evaluation.files, strict=True)
        ],
        "results": [
            {"model": model, "data": data, **measure(all_of, says_answers=says_answers)}
            for (model, data), all_of in scored.items()
        ],
        "differences": [
            {"model": model, "than": first, "data": data, "metrics": compare(values[first, data], values[model, data])}
            for model, data in scored
            if model != first
        ],
    }


def _records(scored: dict[tuple[str, str], list[Scored]]) -> Iterator[dict]:
    for (model, data), all_of in scored.items():
        for one in all_of:
            yield {
                "model": model,
                "data": data,
                "row": one.problem.number,
                "groups": dict(one.problem.groups),
                "right": [verdict.right for verdict in one.verdicts],
                "score": [verdict.score for verdict in one.verdicts],
                "answers": [verdict.answer for verdict in one.verdicts],
                "length": [answer.length for answer in one.answers],
                "truncated": [answer.truncated for answer in one.answers],
            }
