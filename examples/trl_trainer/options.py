"""The command line: each field of TRL's GRPOConfig and ModelConfig is an option, and so are those of TaskOptions."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trl import GRPOConfig, ModelConfig, TrlParser

from grpo_launchpad.models import ModelNotFoundError


@dataclass
class TaskOptions:
    data: str | None = field(
        default=None,
        metadata={"help": "folder with train.parquet and test.parquet; without it, the task's own, made if missing"},
    )
    max_prompt_length: int = field(
        default=512, metadata={"help": "tokens; prompts that are longer are left out, since TRL cuts none off any more"}
    )


def parse(
    description: str, settings: dict, argv: list[str] | None = None
) -> tuple[TaskOptions, GRPOConfig, ModelConfig]:
    """Read the command line; exits with a message if it is wrong.

    Args:
        description: for --help.
        settings: the task's values of fields, which count where the command line is silent.
        argv: None for the process' own. ``--config FILE`` reads further ones from a YAML file.
    """
    parser = TrlParser(
        (TaskOptions, GRPOConfig, ModelConfig),
        description=description,
        usage="%(prog)s [--option VALUE ...]        (--help: the options)",
        allow_abbrev=False,
    )
    parser.set_defaults_with_config(**settings)
    try:
        *parsed, unknown = parser.parse_args_and_config(argv, return_remaining_strings=True)
    except ValueError as error:
        parser.error(str(error))
    if unknown:
        parser.error(f"no such option: {' '.join(unknown)}")
    return tuple(parsed)


@contextlib.contextmanager
def exit_with_message() -> Iterator[None]:
    """Turn what a user got wrong, such as a folder or a combination of options, into a message and exit code 1."""
    try:
        yield
    except (FileNotFoundError, ModelNotFoundError, ValueError, NotImplementedError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: the data could not be made; see above ({Path(error.cmd[1]).name})")
