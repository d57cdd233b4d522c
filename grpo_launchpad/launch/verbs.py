"""The verbs that start or check a launcher by its name: `bash examples/grpo_trainer/<name>.sh`, from any folder."""

import argparse
import os
import sys
from typing import NoReturn

from grpo_launchpad.launch.launchers import FOLDER, NoLauncherError, find_file

DESCRIPTIONS = {
    "launch": "Start, or resume, a launcher: the same as `bash examples/grpo_trainer/<name>.sh KEY=VALUE ...`.",
    "check": "Check a launcher as its launch would, and show where each value comes from; start and write nothing.",
}
EPILOG = """\
examples:
  ACTOR_LR=3e-6 grpo-launchpad {verb} run_qwen2-7b_fsdp_gsm8k       a knob
  grpo-launchpad {verb} qwen2-7b_fsdp_gsm8k trainer.total_epochs=1  any key of verl
  bash examples/grpo_trainer/run_qwen2-7b_fsdp_gsm8k.sh --help      the knobs of a launcher

exit codes: 0 done, 2 a mistake of the user's, 1 a failure
"""


def main(verb: str, arguments: list[str]) -> int | NoReturn:
    """Become the launcher; return only if there is none of that name."""
    parser = argparse.ArgumentParser(
        prog=f"grpo-launchpad {verb}",
        description=DESCRIPTIONS[verb],
        epilog=EPILOG.format(verb=verb),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help=f"of a launcher in {FOLDER}, or a path to one")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="keys of verl, as Hydra takes them")
    if verb == "check":
        parser.add_argument("--json", action="store_true", help="print problems and the estimate of memory as JSON")
    args = parser.parse_intermixed_args(arguments)
    try:
        launcher = find_file(args.name)
    except NoLauncherError as error:
        print(f"grpo-launchpad {verb}: {error}", file=sys.stderr)
        return 2
    if b"\r\n" in launcher.read_bytes():
        print(f"{launcher} has Windows line ends; convert it: sed -i 's/\\r$//' '{launcher}'", file=sys.stderr)
        return 2
    environment = dict(os.environ)
    environment.setdefault("PYTHON", sys.executable)
    if verb == "check":
        environment["CHECK"] = "1"
        args.overrides += ["--json"] if args.json else []
    return os.execvpe("bash", ["bash", str(launcher), *args.overrides], environment)
