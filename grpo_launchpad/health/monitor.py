"""Applies the health rules to a run: record by record and line by line, as they come or afterwards."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from grpo_launchpad.health.history import Facts, History
from grpo_launchpad.health.rules import LEVELS, LOG_RULES, LOG_WORDS, RULES, Rule
from grpo_launchpad.runs.metrics import accuracies, is_training

QUIET_STEPS = 20  # after so many steps without it, a finding is news again
OWN_LINE = "[health] "  # how the console marks in the log what this module found
LOG_BLOCK = 1 << 16
KINDS_OF_LINES = 3  # different lines of the log that are kept for one rule


@dataclass
class Finding:
    """What a rule found, over all steps where it did. ``evidence`` is of the newest; lines of a log have no step."""

    rule: Rule
    evidence: str
    steps: list[int] = field(default_factory=list)

    @property
    def where(self) -> str:
        return said_steps(self.steps)

    def __str__(self) -> str:
        where = f" ({self.where})" if self.steps else ""
        why = sentence(self.rule.meaning)
        return f"{self.rule.name}: {self.evidence}{where}. {why} What to do: {self.rule.remedy}."


class Monitor:
    """The health of one run.

    Args:
        facts: about the run; as a function, for one that goes on and has not held a validation yet.

    Attributes:
        findings: by rule and, for lines of the log, by line; in the order in which they came up.
    """

    def __init__(self, facts: Facts | Callable[[], Facts]):
        self._facts = facts if callable(facts) else None
        self.history = History(facts() if callable(facts) else facts)
        self.findings: dict[tuple[str, str], Finding] = {}

    def add(self, step: int, values: dict[str, float]) -> list[Finding]:
        """Take in the metrics of a step; return what is newly wrong, or wrong again after some quiet."""
        if self._facts and self.history.facts.validation_rows is None and accuracies(values):
            self.history.facts = self._facts()
        self.history.add(step, values)
        if not is_training(values):
            return []
        return [
            finding
            for rule in RULES
            if not (rule.of_learning and self.history.facts.smoke)
            if (evidence := rule.check(self.history)) and (finding := self._found(rule, evidence, step))
        ]

    def _found(self, rule: Rule, evidence: str, step: int) -> Finding | None:
        """Record a finding at a step; return it if it is news."""
        finding = self.findings.setdefault((rule.name, ""), Finding(rule, evidence))
        news = not finding.steps or step - finding.steps[-1] > QUIET_STEPS
        finding.evidence = evidence
        finding.steps.append(step)
        return finding if news else None

    def add_line(self, line: str) -> Finding | None:
        """Look at a line of the trainer's log; return what it newly says."""
        if OWN_LINE in line:
            return None
        for rule in LOG_RULES:
            found = rule.log.search(line)
            if found is None:
                continue
            evidence = found[1] if found.groups() else found[0]
            kinds = sum(name == rule.name for name, _ in self.findings)
            if (rule.name, evidence) in self.findings or kinds >= KINDS_OF_LINES:
                return None
            finding = Finding(rule, f"the log says: {evidence}")
            self.findings[rule.name, evidence] = finding
            return finding
        return None

    def add_log(self, path: Path) -> None:
        """Look at a whole log; a missing one is none."""
        if not path.is_file():
            return
        with path.open("rb") as log:
            # Most of a log says nothing to any rule; its lines need not be looked at one by one.
            while block := log.read(LOG_BLOCK) + log.readline():
                if any(word in block for word in LOG_WORDS):
                    for line in block.decode("utf-8", errors="replace").splitlines():
                        self.add_line(line)

    def worst_first(self) -> list[Finding]:
        return sorted(self.findings.values(), key=lambda finding: LEVELS.index(finding.rule.level))

    def alarms(self) -> list[Finding]:
        """Return what is not for information only, the worst first."""
        return [finding for finding in self.worst_first() if finding.rule.level != "info"]


def examine(metrics: Iterable[tuple[int, dict[str, float]]], facts: Facts, logs: Iterable[Path] = ()) -> Monitor:
    """Return the health of a run that is over."""
    monitor = Monitor(facts)
    for step, values in metrics:
        monitor.add(step, values)
    for log in logs:
        monitor.add_log(log)
    return monitor


def said_steps(steps: list[int]) -> str:
    """Say which steps, the first five by number."""
    if len(steps) == 1:
        return f"step {steps[0]}"
    shown = ", ".join(map(str, steps[:5]))
    return f"steps {shown}" + (f" and {len(steps) - 5} more" if len(steps) > 5 else "")


def sentence(text: str) -> str:
    """Return a clause as a sentence."""
    return text[:1].upper() + text[1:] + "."
