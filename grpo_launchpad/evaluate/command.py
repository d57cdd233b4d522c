"""Command line: grpo-launchpad evaluate MODEL|RUN[:STEP] ... --data FILE ..."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from grpo_launchpad.evaluate.answers import AnswersError
from grpo_launchpad.evaluate.evaluation import Evaluation, EvaluationError, run
from grpo_launchpad.evaluate.presets import DEFAULT, MAX_TOKENS, PRESETS
from grpo_launchpad.evaluate.problems import read_problems
from grpo_launchpad.evaluate.scoring import Scorer
from grpo_launchpad.evaluate.tables import markdown
from grpo_launchpad.inference.arguments import MODEL, MODEL_HELP, add_tensor_parallel, count
from grpo_launchpad.inference.engine import Engine, EngineError, VllmEngine
from grpo_launchpad.inference.model_argument import (
    ModelArgument,
    ModelArgumentError,
    RunSettings,
    read_model_argument,
)
from grpo_launchpad.inference.prompts import PromptError
from grpo_launchpad.runs.folder import write_whole
from reward_score.rows import RowsError

MISTAKES = (EvaluationError, ModelArgumentError, RowsError, AnswersError, PromptError, EngineError)


def main(arguments: list[str] | None = None, *, load: Callable[..., Engine] = VllmEngine) -> int:
    """Evaluate and return the exit code: 0, or 2 for a user's mistake.

    Args:
        arguments: of the command line.
        load: makes the engine, with the arguments of ``VllmEngine``.
    """
    args = _parser().parse_args(arguments)
    try:
        evaluation = decide(args)
        results, problems = run(evaluation, load)
        write(evaluation.out, results, problems)
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from what {args.out or 'evaluations'}/ has", file=sys.stderr)
        return 130
    print(markdown(results), end="")
    print(f"\nwritten: {evaluation.out}/results.json, results.md, results.svg, problems.jsonl")
    return 0


def _parser() -> argparse.ArgumentParser:
    presets = "\n".join(
        f"  {name:11} {preset.samples} x temperature {preset.sampling.temperature:g}, top-p {preset.sampling.top_p:g}"
        + (f", {preset.max_tokens} tokens" if preset.max_tokens else "")
        + f"\n              {preset.source}"
        for name, preset in PRESETS.items()
    )
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad evaluate",
        description="Measure models on held-out rows: avg@n (pass@1), pass@k and maj@k with 95 % intervals.",
        epilog=f"presets:\n{presets}\n\nThe same command again goes on where it was stopped, or killed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="+", metavar=MODEL, help=MODEL_HELP)
    parser.add_argument(
        "--data", nargs="+", type=Path, metavar="FILE", help="verl parquet or JSON Lines; of a run: its held-out rows"
    )
    parser.add_argument(
        "--base", action="store_true", help="also the model that the run started from, before the others"
    )
    parser.add_argument("--preset", choices=PRESETS, help=f"how answers are sampled (default: {DEFAULT})")
    parser.add_argument("--samples", type=count, metavar="N", help="answers a problem, instead of the preset's")
    parser.add_argument(
        "--max-tokens",
        type=count,
        metavar="N",
        help="that an answer may have (default: the preset's, the run's, or 4096)",
    )
    parser.add_argument("--rows", type=count, metavar="N", help="of each file, only the first N")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    add_tensor_parallel(parser)
    parser.add_argument("--out", type=Path, help="folder (default: evaluations/<files>-<preset>)")
    return parser


def decide(args: argparse.Namespace) -> Evaluation:
    """Return what the command line asks for, with everything checked that needs no model.

    Raises:
        EvaluationError, ModelArgumentError, RowsError: for a user's mistake.
    """
    models = [read_model_argument(text) for text in args.models]
    settings = _settings(models)
    if args.base:
        if settings is None:
            raise EvaluationError("--base: no run is among the models. Name the base model itself, before the others")
        models.insert(0, read_model_argument(settings.base_model))
    names = [model.name for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        models = [replace(model, name=model.text) for model in models]
        if len({model.text for model in models}) < len(models):
            raise EvaluationError(f"{twice} is named twice")
    files = tuple(args.data or map(Path, settings.val_files if settings else ()))
    if not files:
        raise EvaluationError(
            "--data FILE ... is missing: a test.parquet of data_prep, such as data/math500/test.parquet"
        )
    scorer = Scorer(settings)
    problems = read_problems(files, args.rows, any_scorer=not scorer.is_own)
    scorer.check(problems)
    preset = PRESETS[args.preset or DEFAULT]
    max_tokens = args.max_tokens or (preset.max_tokens if args.preset else None)
    max_tokens = max_tokens or (settings.max_response_length if settings else None) or preset.max_tokens or MAX_TOKENS
    samples = args.samples or preset.samples
    if samples > 1 and preset.sampling.temperature == 0:
        raise EvaluationError(
            f"--samples {samples}: at temperature 0 all answers to a problem are the same. Choose a preset that "
            "samples: " + ", ".join(f"--preset {name}" for name, each in PRESETS.items() if each.sampling.temperature)
        )
    out = args.out or Path("evaluations") / "-".join(
        [*dict.fromkeys(problem.data.replace("/", "_") for problem in problems), args.preset or DEFAULT]
    )
    return Evaluation(
        models=tuple(models),
        files=files,
        problems=tuple(problems),
        scorer=scorer,
        preset=args.preset or DEFAULT,
        samples=samples,
        sampling=preset.sampling,
        max_tokens=max_tokens,
        seed=args.seed,
        chat_template_kwargs=settings.chat_template_kwargs if settings else {},
        dtype=settings.dtype if settings else "auto",
        tensor_parallel=args.tensor_parallel,
        out=out,
    )


def _settings(models: Sequence[ModelArgument]) -> RunSettings | None:
    """Return how the runs among the models were trained, which all models share here.

    Raises:
        EvaluationError: if they differ in what decides a score.
    """
    runs = [model for model in models if model.settings]
    for other in runs[1:]:
        for name in ("chat_template_kwargs", "reward_path", "reward_name", "reward_kwargs"):
            first, second = getattr(runs[0].settings, name), getattr(other.settings, name)
            if first != second:
                raise EvaluationError(
                    f"{runs[0].text} and {other.text} differ in {name} ({first} and {second}), so that one evaluation "
                    "cannot serve both. Evaluate them apart, or give the exported models' folders, which are scored by "
                    "the task's own scorer"
                )
    return runs[0].settings if runs else None


def write(out: Path, results: dict, problems: list[dict]) -> None:
    """Write results.json, results.md, results.svg and problems.jsonl.

    Raises:
        EvaluationError: if the disk is full.
    """
    from grpo_launchpad.evaluate.picture import draw

    try:
        write_whole(out / "problems.jsonl", "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in problems))
        write_whole(out / "results.json", json.dumps(results, indent=2, ensure_ascii=False) + "\n")
        write_whole(out / "results.md", markdown(results))
        write_whole(out / "results.svg", draw(results))
    except OSError as error:
        raise EvaluationError(f"{out}: {error.strerror}. Make room and run the same command again") from error


if __name__ == "__main__":
    sys.exit(main())
