"""Answers per CPU second and latency, on one core."""

import contextlib
import random
import resource
import time
from pathlib import Path

import psutil

from benchmarks.reward_score import datasets
from benchmarks.reward_score.agreement import shuffled_golds
from benchmarks.reward_score.datasets import Row
from benchmarks.reward_score.isolation import in_child, timed_call
from benchmarks.reward_score.peers import PEERS
from benchmarks.reward_score.tables import markdown, rate

WARM_UP = ("hendrycks_tests", "nemo_skills_tests")


def childrens_cpu_seconds() -> float:
    """Return the CPU time of this process's children, live and ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:4])
    return total


def measure(name: str, task: str, wrong: bool, each_gold_once: bool, data: Path, limit: int | None) -> dict:
    """Measure one pass over a set in random order; the process has scored the unit-test sets before, and nothing else.

    Args:
        wrong: whether each row is scored against another row's gold.
        each_gold_once: keep one row per gold, so that nothing remembered about a gold can help.

    Returns:
        ``rows``; ``raised``, the calls that ended in an exception; ``per_second``, per second of CPU time; ``p99_ms``
        and ``max_ms`` of wall time.
    """
    peer = PEERS[name]
    scorer = peer.load()
    for one in WARM_UP:
        for row in datasets.labelled(data, one):
            timed_call(scorer, row.response(peer), row.gold)
    rows = datasets.thin(chosen(task, wrong, each_gold_once, data), limit)
    if wrong:
        rows = datasets.thin(rows, peer.wrong_rows)
    calls = [(row.response(peer), row.gold) for row in rows]
    latencies, raised = [], 0
    childrens = childrens_cpu_seconds()
    own = time.process_time()
    for response, gold in calls:
        started = time.perf_counter()
        try:
            scorer(response, gold)
        except Exception:
            raised += 1
        latencies.append(time.perf_counter() - started)
    spent = time.process_time() - own + childrens_cpu_seconds() - childrens
    latencies.sort()
    return {
        "rows": len(calls),
        "raised": raised,
        "per_second": len(calls) / spent,
        "p99_ms": 1000 * latencies[int(0.99 * (len(latencies) - 1))],
        "max_ms": 1000 * latencies[-1],
    }


def chosen(task: str, wrong: bool, each_gold_once: bool, data: Path) -> list[Row]:
    """Return the rows of a pass, in random order."""
    rows = {"GSM8K": datasets.gsm8k, "MATH": datasets.math}[task](data)
    if wrong:
        rows = shuffled_golds(rows)
    random.Random(1).shuffle(rows)
    return list({row.gold: row for row in rows}.values()) if each_gold_once else rows


def run(name: str, data: Path, limit: int | None) -> dict:
    """Return for each task and pass what ``measure`` gives."""
    return {
        task: {
            f"{'wrong' if wrong else 'right'}{', each gold once' if once else ''}": in_child(
                measure, name, task, wrong, once, data, limit
            )
            for wrong in (False, True)
            for once in (False, True)
        }
        for task in (("GSM8K", "MATH") if PEERS[name].math else ("GSM8K",))
    }


def tables(result: dict) -> str:
    """Return one table per task as Markdown."""
    parts = []
    for task in ("GSM8K", "MATH"):
        rows = [(name, tasks[task]) for name, tasks in result.items() if task in tasks]
        if not rows:
            continue
        columns = ["right/s", "wrong/s", "right/s, each gold once", "wrong/s, each gold once"]
        columns += ["right p99 ms", "right max ms", "wrong p99 ms", "wrong max ms"]
        parts += [
            f"\n### {task}\n",
            markdown(["scorer", *columns], [[name, *_speeds(passes)] for name, passes in rows]),
        ]
    return "\n".join(parts)


def _speeds(passes: dict) -> list[str]:
    rates = [passes[one]["per_second"] for one in ("right", "wrong", "right, each gold once", "wrong, each gold once")]
    latencies = [passes[one][key] for one in ("right", "wrong") for key in ("p99_ms", "max_ms")]
    return [*map(rate, rates), *(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in latencies)]
