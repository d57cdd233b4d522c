"""Command line: grpo-launchpad predict MODEL|RUN[:STEP] "question" """

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from grpo_launchpad.inference.arguments import add_model, count, temperature
from grpo_launchpad.inference.engine import EngineError, Request, Sampling, VllmEngine, prepare_environment
from grpo_launchpad.inference.model_argument import ModelArgument, ModelArgumentError, read_model_argument
from grpo_launchpad.inference.prompts import PromptError, Prompts
from grpo_launchpad.inference.question import QuestionForm, form_of_files
from reward_score.rows import RowsError, read_rows

MAX_TOKENS = 2048
MISTAKES = (ModelArgumentError, PromptError, EngineError, RowsError)


def main(arguments: list[str] | None = None, *, load: Callable[..., VllmEngine] = VllmEngine) -> int:
    """Answer, and return the exit code: 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad predict",
        description="Ask a model, or a run's model, one question or those of a file. A run is asked as it was trained: "
        "with the instruction of its data and its chat template.",
    )
    add_model(parser)
    parser.add_argument("question", nargs="?", help="- reads it from the standard input")
    parser.add_argument("--file", type=Path, help="questions: .txt, one a line; .jsonl or .parquet with 'prompt'")
    parser.add_argument(
        "--temperature", type=temperature, default=0.0, metavar="T", help="default: 0, the likeliest answer"
    )
    parser.add_argument(
        "--max-tokens", type=count, metavar="N", help="that an answer may have (default: the run's, or 2048)"
    )
    args = parser.parse_args(arguments)
    if (args.question is None) == (args.file is None):
        parser.error('give a question, or --file FILE: grpo-launchpad predict RUN "What is 3 + 4?"')
    try:
        model = read_model_argument(args.model)
        form = form_of_run(model)
        if args.file:
            chats = list(_chats(args.file, form))
        else:
            chats = [form.messages(sys.stdin.read().strip() if args.question == "-" else args.question)]
        limit = args.max_tokens or (model.settings and model.settings.max_response_length) or MAX_TOKENS
        sampling = Sampling(args.temperature)
        engine, prompts, requests = open_model(model, chats, limit, args.tensor_parallel, load)
        if args.file:
            for chat, text, truncated in _in_order(engine, prompts, chats, requests, sampling):
                print(json.dumps({"prompt": chat, "answer": text, "truncated": truncated}, ensure_ascii=False))
        else:
            for piece in pieces(engine, prompts, requests[0], sampling):
                print(piece, end="", flush=True)
            print()
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    return 0


def form_of_run(model: ModelArgument) -> QuestionForm:
    """Return how a run's data asks, and say so; a model alone is asked the bare question."""
    form = form_of_files(model.settings.val_files) if model.settings else QuestionForm()
    if form != QuestionForm():
        print(f"asked as in training: {form}", file=sys.stderr)
    return form


def open_model(
    model: ModelArgument, chats: list[list[dict]], limit: int, tensor_parallel: int, load: Callable[..., VllmEngine]
) -> tuple[VllmEngine, Prompts, list[Request]]:
    """Load a model for these chats and return it with a request for each.

    Raises:
        ModelArgumentError, PromptError, EngineError: if it cannot be loaded, or a chat is too long for it.
    """
    prepare_environment(tensor_parallel)
    folder = model.folder()
    prompts = Prompts(folder, model.settings.chat_template_kwargs if model.settings else None)
    tokens = [prompts.tokens(chat) for chat in chats]
    longest = max(map(len, tokens))
    if prompts.longest and longest >= prompts.longest:
        raise PromptError(f"a question has {longest:,} tokens, and {model.name} reads {prompts.longest:,}; shorten it")
    context = min(longest + limit, prompts.longest or longest + limit)
    print(f"loading {folder}", file=sys.stderr)
    engine = load(
        folder,
        max_model_len=context,
        tensor_parallel=tensor_parallel,
        dtype=model.settings.dtype if model.settings else "auto",
    )
    return engine, prompts, [Request(str(n), ids, min(limit, context - len(ids)), n) for n, ids in enumerate(tokens)]


def pieces(engine: VllmEngine, prompts: Prompts, request: Request, sampling: Sampling) -> Iterator[str]:
    """Yield an answer's text as it grows; a character that is not complete yet waits for its next token."""
    shown, text = "", ""
    for tokens in engine.stream(request, sampling):
        text = prompts.text(tokens)
        if text.startswith(shown) and not text.endswith("\ufffd"):
            yield text[len(shown) :]
            shown = text
    if text.startswith(shown):
        yield text[len(shown) :]


def _chats(path: Path, form: QuestionForm) -> Iterator[list[dict]]:
    if path.suffix in (".jsonl", ".parquet"):
        for number, row in read_rows(path):
            prompt = row.get("prompt")
            if isinstance(prompt, list) and prompt:
                yield prompt  # verl's rows have their instruction
            elif isinstance(prompt, str) and prompt:
                yield form.messages(prompt)
            else:
                raise RowsError(
                    f"{path}, row {number}", "has no 'prompt'", "give verl's rows, or a text under 'prompt'"
                )
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise RowsError(path, f"cannot be read ({reason})", "correct the path or its permissions") from error
    questions = [line.strip() for line in lines if line.strip()]
    if not questions:
        raise RowsError(path, "has no questions", "write one a line")
    yield from map(form.messages, questions)


def _in_order(
    engine: VllmEngine, prompts: Prompts, chats: list[list[dict]], requests: list[Request], sampling: Sampling
) -> Iterator[tuple[list[dict], str, bool]]:
    """Yield each chat with its answer as soon as all before it are answered."""
    answered: dict[int, tuple[str, bool]] = {}
    turn = 0
    for step in engine.run(requests, sampling):
        for answer in step.answers:
            answered[int(answer.key)] = prompts.text(answer.tokens), answer.truncated
        while turn in answered:
            yield chats[turn], *answered.pop(turn)
            turn += 1


if __name__ == "__main__":
    sys.exit(main())
