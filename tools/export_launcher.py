"""Write one launcher as one bash file, with the text of examples/lib/launch.sh inside.

    python -m tools.export_launcher run_qwen2-7b_megatron_gsm8k -o qwen2-7b.sh

The file may have any name and lie anywhere. It runs the project's Python packages, and gives verl the same command.
"""

import argparse
import re
import sys
from pathlib import Path

from tools.launchers import ROOT, Launcher, LauncherError, NoLauncherError, find_launcher

LIBRARY = ROOT / "examples" / "lib" / "launch.sh"
HEADER = """\
#
# Exported from grpo-launchpad: the launcher with examples/lib/launch.sh inside. The launcher goes on in line {line}.
# It runs the Python packages of the project, which it finds by one more variable:
#   LAUNCH_ROOT   the project's folder, with data/, runs/ and cluster/env.sh. Default: the git repository of the current
#                 folder if grpo_launchpad is in it, else the folder that Python imports grpo_launchpad from.
"""

# Before the text of launch.sh, which would go by the places and names of the files.
IDENTITY = """\
LAUNCH_NAME={name}
if [[ -z "${{LAUNCH_ROOT:-}}" ]]; then
    LAUNCH_ROOT=$(git rev-parse --show-toplevel 2>/dev/null) || LAUNCH_ROOT=""
    if [[ ! -d "${{LAUNCH_ROOT}}/grpo_launchpad" ]]; then
        LAUNCH_ROOT=$("${{PYTHON:-python3}}" -c 'import importlib.util as i, os
print(os.path.dirname(os.path.dirname(i.find_spec("grpo_launchpad").origin)))' 2>/dev/null) || {{
            echo "${{LAUNCH_NAME}}: grpo_launchpad was not found; set LAUNCH_ROOT to the project's folder" >&2
            exit 2
        }}
    fi
fi
"""

FRAME = "set -euo pipefail\n"
SOURCE = re.compile(r'# shellcheck source=\S+\nsource "\$\(dirname "\$\{BASH_SOURCE\[0\]\}"\)/\S+/launch\.sh"\n')
SHELL_DIRECTIVE = "# shellcheck shell=bash\n"


def export(launcher: Launcher) -> str:
    """Return the text of the launcher as a file that needs no other shell file.

    Raises:
        LauncherError: if it does not source launch.sh once, where this program expects it.
    """
    header, frame, body = launcher.text.partition(FRAME)
    parts = SOURCE.split(body)
    if len(parts) != 2:
        raise LauncherError(f"{launcher.path}: it must have {FRAME.strip()!r}, then source launch.sh once")
    library = IDENTITY.format(name=launcher.name) + LIBRARY.read_text().removeprefix(SHELL_DIRECTIVE)
    above = header + HEADER + frame + parts[0] + library
    return above.replace(HEADER, HEADER.format(line=above.count("\n") + 2)) + parts[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.export_launcher", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a launcher of examples/grpo_trainer, with or without .sh")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to; default: standard output")
    args = parser.parse_args()
    try:
        text = export(find_launcher(args.name))
    except (LauncherError, NoLauncherError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if args.output is None:
        sys.stdout.write(text)
        return
    try:
        args.output.write_text(text)
        args.output.chmod(0o755)
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error}; give another file with -o\n")


if __name__ == "__main__":
    main()
