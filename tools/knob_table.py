"""Write the table of knobs in docs/en/launchers.md from examples/lib/knobs.txt.

    python -m tools.knob_table             writes it
    python -m tools.knob_table --check     exits with 1 if it is out of date

`make recipes` runs it.
"""

import argparse
import html
import sys

from grpo_launchpad.knobs import Knob, read_knobs
from tools.launchers import ROOT
from tools.marked_text import update, with_marked_text

PAGE = ROOT / "docs" / "en" / "launchers.md"
ENGINES = {"fsdp": "FSDP2", "megatron": "Megatron"}
BACKENDS = {"all": "all", **ENGINES}


def table() -> str:
    """Return the knobs as Markdown: one row a name, with the keys of each backend where they differ."""
    by_name: dict[str, list[Knob]] = {}
    for knob in read_knobs():
        by_name.setdefault(knob.name, []).append(knob)
    lines = ["| knob | launchers | value | meaning, and verl's key |", "|---|---|---|---|"]
    for name, knobs in by_name.items():
        backends = "all" if len(knobs) == len(ENGINES) else BACKENDS[knobs[0].backend]
        keys = "".join(f"<br>{backend_label(knob, knobs)}`{key}`" for knob in knobs for key in knob.keys)
        lines.append(
            f"| `{name}` | {backends} | {knobs[0].kind} | {html.escape(knobs[0].meaning, quote=False)}{keys} |"
        )
    return "\n".join(lines)


def backend_label(knob: Knob, knobs: list[Knob]) -> str:
    return f"{BACKENDS[knob.backend]}: " if len(knobs) > 1 else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.knob_table", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the table is out of date")
    args = parser.parse_args()
    stale = update({PAGE: with_marked_text(PAGE, "knobs", table())}, check=args.check)
    if args.check and stale:
        print(f"{PAGE}: the table of knobs is out of date; run: make recipes", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
