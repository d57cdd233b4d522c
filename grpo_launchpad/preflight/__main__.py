"""Check a launch and change nothing.

python -m grpo_launchpad.preflight --launcher FILE --run-dir FOLDER -- OVERRIDE...
"""

import argparse
import sys
from pathlib import Path

from grpo_launchpad.preflight.check import check, report_problems
from grpo_launchpad.preflight.compose import ComposeError, compose
from grpo_launchpad.preflight.places import Places


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--launcher", type=Path, required=True, help="the launcher's file, which messages name")
    parser.add_argument("--run-dir", type=Path, required=True, help="the folder the run would write to")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, as for verl.trainer.main_ppo")
    args = parser.parse_args()
    try:
        problems = check(compose(args.overrides), args.overrides, args.run_dir)
    except ComposeError as error:
        problems = error.problems
    if problems:
        print(report_problems(problems, Places(args.launcher, args.overrides)), file=sys.stderr)
        return 2
    print("preflight: ok", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
