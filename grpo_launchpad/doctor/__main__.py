"""Command line: grpo-launchpad doctor"""

import argparse
import json
import os
import sys
import textwrap
from dataclasses import asdict

from grpo_launchpad.doctor.facts import Facts, gather
from grpo_launchpad.doctor.judge import FAIL, OK, WARN, Finding, judge

COLOURS = {OK: "32", WARN: "33", FAIL: "31"}


def main(arguments: list[str] | None = None) -> int:
    """Print the findings; return 1 if an item fails, else 0."""
    parser = argparse.ArgumentParser(
        prog="grpo-launchpad doctor",
        description="Examine this machine: versions, devices, limits, disks, network, Ray, clock. Changes nothing.",
        epilog="exit codes: 0 nothing fails, 1 something does, 2 a mistake in the command",
    )
    parser.add_argument("--json", action="store_true", help="print facts and findings as JSON")
    args = parser.parse_args(arguments)
    facts = gather()
    findings = judge(facts)
    print(_as_json(facts, findings) if args.json else _as_text(facts, findings))
    return 1 if any(finding.status == FAIL for finding in findings) else 0


def _as_json(facts: Facts, findings: list[Finding]) -> str:
    return json.dumps({"findings": [asdict(each) for each in findings], "facts": facts.as_json()}, indent=2)


def _as_text(facts: Facts, findings: list[Finding]) -> str:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(finding.item) for finding in findings)
    lines = []
    for finding in findings:
        status = f"{finding.status:4}"
        status = f"\033[{COLOURS[finding.status]}m{status}\033[0m" if coloured else status
        margin = " " * (width + 8)
        evidence = textwrap.fill(finding.evidence, 118, initial_indent=margin, subsequent_indent=margin)
        lines.append(f"{status}  {finding.item:{width}}  {evidence.strip()}")
        if finding.remedy:
            lines.append(
                textwrap.fill(f"fix: {finding.remedy}", 118, initial_indent=margin, subsequent_indent=margin + "     ")
            )
    counts = {status: sum(finding.status == status for finding in findings) for status in COLOURS}
    lines += ["", f"{counts[OK]} ok, {counts[WARN]} to look at, {counts[FAIL]} failing; {facts.seconds:.1f} s"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
