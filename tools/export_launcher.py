"""Write one launcher as one self-contained bash file, with the library that it sources inside.

    python -m tools.export_launcher run_qwen2-7b_megatron_gsm8k -o qwen2-7b.sh

The file runs wherever the project's Python packages can be imported, and gives verl the same command.
"""

import argparse
import re
import sys
from pathlib import Path

from tools.launchers import LIBRARY, Launcher, LauncherError, find_launcher

HEADER = """\
#
# Exported from grpo-launchpad: the launcher and the library it sources in one file. Its knobs begin in line {line}.
# It still runs the project's Python packages, which must be importable. One more variable:
#   LAUNCH_ROOT   the project's folder, with data/, runs/ and cluster/env.sh. Default: the git repository of the current
#                 folder if grpo_launchpad is in it, else the folder that Python imports grpo_launchpad from.
# shellcheck disable=SC2034 # knobs are read by their names
"""

# In the place of launch.sh's own lines, which go by the places of the files.
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
fi"""

SOURCE_LAUNCH = re.compile(
    r'# shellcheck source=\S+\nsource "\$\(dirname "\$\{BASH_SOURCE\[0\]\}"\)/\.\./lib/launch\.sh"\n'
)
SOURCE_PART = re.compile(r'# shellcheck source=\S+\nsource "\$\{LAUNCH_LIB\}/(?P<file>[a-z]+\.sh)"\n')
PLACES = re.compile(r'LAUNCH_LIB=\$\(.*\)\nLAUNCH_ROOT=\$\(.*\)\nLAUNCH_NAME=\$\(basename "\$0" \.sh\)')
KNOB_TABLE = re.compile(r"launch::knob_table\(\) \{\n.*?\n\}\n", re.DOTALL)
SHELL_DIRECTIVE = "# shellcheck shell=bash\n"


def export(launcher: Launcher) -> str:
    """Return the text of the launcher as a file that needs no other shell file."""
    header, begin, body = launcher.text.partition("set -euo pipefail\n")
    body = replace_once(SOURCE_LAUNCH, "\f", body, launcher.path)
    before, after = body.split("\f")
    library = begin + before + library_text(launcher.name)
    line = (header + HEADER + library).count("\n") + 1 + (len(after) - len(after.lstrip("\n")))
    return header + HEADER.format(line=line) + library + after


def library_text(name: str) -> str:
    """Return launch.sh with everything that it reads in its place, for a launcher of this name."""
    text = part_text(LIBRARY / "launch.sh")
    text = SOURCE_PART.sub(lambda found: part_text(LIBRARY / found["file"]), text)
    text = replace_once(PLACES, IDENTITY.format(name=name), text, LIBRARY / "launch.sh")
    rows = [row for row in (LIBRARY / "knobs.txt").read_text().splitlines() if row and not row.startswith("#")]
    table = "\n".join(["launch::knob_table() {", "    cat <<'END'", *rows, "END", "}", ""])
    text = replace_once(KNOB_TABLE, table, text, LIBRARY / "knobs.sh")
    if "LAUNCH_LIB" in text:
        raise LauncherError(f"{LIBRARY}: LAUNCH_LIB is used where the export does not expect it")
    return text


def part_text(path: Path) -> str:
    return path.read_text().removeprefix(SHELL_DIRECTIVE)


def replace_once(pattern: re.Pattern, replacement: str, text: str, path: Path) -> str:
    """Replace the one place that matches.

    Raises:
        LauncherError: if there is none or more than one; then the file and this program no longer fit.
    """
    text, count = pattern.subn(lambda _: replacement, text)
    if count != 1:
        raise LauncherError(f"{path}: {count} places match {pattern.pattern!r}; exactly one is expected")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.export_launcher", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a launcher of examples/grpo_trainer, with or without .sh")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to; default: standard output")
    args = parser.parse_args()
    try:
        text = export(find_launcher(args.name))
    except LauncherError as error:
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
