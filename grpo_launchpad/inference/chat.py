"""Command line: grpo-launchpad chat MODEL|RUN[:STEP]"""

import argparse
import sys
from collections.abc import Callable

from grpo_launchpad.inference.arguments import add_model, temperature
from grpo_launchpad.inference.engine import Request, Sampling, VllmEngine
from grpo_launchpad.inference.model_argument import read_model_argument
from grpo_launchpad.inference.predict import MAX_TOKENS, MISTAKES, form_of_run, open_model, pieces
from grpo_launchpad.inference.prompts import Prompts
from grpo_launchpad.inference.question import QuestionForm

# Tokens of a whole conversation, at most the model's; the engine reserves memory for it.
CONTEXT = 8192
NEW = "/new"


def main(arguments: list[str] | None = None, *, load: Callable[..., VllmEngine] = VllmEngine) -> int:
    """Talk until the input ends, and return the exit code: 0, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad chat",
        description=f"Talk to a model, or a run's model. {NEW} begins afresh, an empty line or Ctrl-D ends.",
    )
    add_model(parser)
    parser.add_argument("--temperature", type=temperature, default=0.6, metavar="T", help="default: 0.6")
    args = parser.parse_args(arguments)
    try:
        model = read_model_argument(args.model)
        form = form_of_run(model)
        # The limit of the first answer makes the room of the whole conversation.
        engine, prompts, _ = open_model(model, [form.messages("")], CONTEXT, args.tensor_parallel, load)
        _talk(engine, prompts, form, min(prompts.longest or CONTEXT, CONTEXT), Sampling(args.temperature))
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    return 0


def _talk(engine: VllmEngine, prompts: Prompts, form: QuestionForm, context: int, sampling: Sampling) -> None:
    messages: list[dict[str, str]] = []
    turn = 0
    while line := _read():
        if line == NEW:
            messages = []
            continue
        asked = form.messages(line)
        tried = [*messages, *(asked if not messages else asked[-1:])]
        tokens = prompts.tokens(tried)
        if len(tokens) >= context:
            print(f"the conversation has {len(tokens):,} tokens and the model reads {context:,}; {NEW} begins afresh")
            continue
        turn += 1
        request = Request(f"turn {turn}", tokens, min(MAX_TOKENS, context - len(tokens)), turn)
        said = ""
        try:
            for piece in pieces(engine, prompts, request, sampling):
                said += piece
                print(piece, end="", flush=True)
        except KeyboardInterrupt:  # ends the answer, not the conversation
            pass
        print()
        messages = [*tried, {"role": "assistant", "content": said}]


def _read() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


if __name__ == "__main__":
    sys.exit(main())
