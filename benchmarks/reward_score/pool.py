"""Honest answers behind hostile ones, and a scorer whose worker process is killed."""

import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import psutil

from benchmarks.reward_score import datasets
from benchmarks.reward_score.isolation import in_child, timed_call
from benchmarks.reward_score.peers import PEERS, Peer, Scorer
from benchmarks.reward_score.tables import markdown

THREADS = 16
# What the hostile answers are, and the threads that call the scorer; with 48 all calls are under way at once.
SETTINGS = (("numbers", THREADS), ("numbers", 48), ("algebra", THREADS))
HOSTILE = 32
HONEST = 16
CALLS = 200  # under way while the worker is killed
LATER = 10
CAP = 60.0  # seconds of wall time to wait for the honest answers
LOADING = 60.0  # seconds of wall time for imports and the honest answers alone

Call = tuple[str, str]  # response, ground truth


def hostile_calls(peer: Peer, kind: str) -> list[Call]:
    """Return hostile answers, all different, so that none is remembered from another.

    "numbers" are towers and factorials where the ground truth is 42; "algebra" are integrals where the ground truth is
    an integral, too, so that only computer algebra could tell.
    """
    if kind == "algebra":
        gold = r"\int_0^x \sin(t^2) \, dt"
        return [(peer.write(rf"\int_0^x t^{{t^{{t+{i}}}}} \, dt"), gold) for i in range(HOSTILE)]
    towers = [f"{base}^{{9^{{9^{{9}}}}}}" for base in range(2, 2 + HOSTILE // 2)]
    factorials = [f"(10^8+{i})!" for i in range(HOSTILE - len(towers))]
    return [(peer.write(answer), "42") for answer in towers + factorials]


def honest_calls(peer: Peer, data: Path, kind: str, count: int) -> list[Call]:
    """Return right answers: MATH's own; with "algebra" every fourth is the closed form of a sum."""
    calls = [(row.response(peer), row.gold) for row in datasets.math(data)[:count]]
    if kind == "algebra":
        for i in range(0, count, 4):
            calls[i] = (peer.write(rf"\frac{{{i + 1} n (n+1)}}{{2}}"), rf"\sum_{{k=1}}^{{n}} {i + 1} k")
    return calls


def behind_hostile(name: str, data: Path, kind: str, threads: int) -> dict:
    """Queue the hostile answers, then the honest ones, in one pool of threads.

    Returns:
        ``alone``: how many honest ones are right without that; ``right``: how many are with it, within CAP seconds;
        ``back``: how many came back; ``errors``: the exceptions' names; ``seconds``: until all of them were back.
    """
    peer = PEERS[name]
    scorer = peer.load()
    honest = honest_calls(peer, data, kind, HONEST)
    pool = ThreadPoolExecutor(threads)
    alone = [pool.submit(timed_call, scorer, *call).result() for call in honest]
    started = time.perf_counter()
    for call in hostile_calls(peer, kind):
        pool.submit(timed_call, scorer, *call)
    futures = [pool.submit(timed_call, scorer, *call) for call in honest]
    done, _ = wait(futures, timeout=CAP)
    seconds = time.perf_counter() - started
    outcomes = [future.result() for future in done]
    return {
        "alone": sum(outcome.verdict is True for outcome in alone),
        "right": sum(outcome.verdict is True for outcome in outcomes),
        "back": len(outcomes),
        "errors": sorted({outcome.error for outcome in outcomes if outcome.error}),
        "seconds": seconds,
    }


def worker_killed(name: str, data: Path) -> dict:
    """Kill one of the scorer's child processes while its calls are under way.

    Returns:
        ``killed``: whether it had one; ``alone``: how many of CALLS honest answers are right when nothing is killed;
        ``during``: how many are while it is; ``later_alone``, ``later``: the same of the first LATER of them,
        asked again afterwards.
    """
    peer = PEERS[name]
    scorer = peer.load()
    calls = honest_calls(peer, data, "algebra", CALLS)
    pool = ThreadPoolExecutor(THREADS)
    pool.submit(timed_call, scorer, *calls[0]).result()
    alone = _right(pool, scorer, calls)
    over = threading.Event()
    killer = ThreadPoolExecutor(1).submit(_kill_one_child, over)
    during = _right(pool, scorer, calls)
    over.set()
    killed = killer.result()
    later = _right(pool, scorer, calls[:LATER])
    return {
        "killed": killed,
        "alone": sum(alone),
        "during": sum(during),
        "later_alone": sum(alone[:LATER]),
        "later": sum(later),
    }


def _right(pool: ThreadPoolExecutor, scorer: Scorer, calls: list[Call]) -> list[bool]:
    """Return for each call whether it came back as right within CAP seconds."""
    futures = [pool.submit(timed_call, scorer, *call) for call in calls]
    wait(futures, timeout=CAP)
    return [future.done() and future.result().verdict is True for future in futures]


def _kill_one_child(over: threading.Event) -> bool:
    """Kill the first child found that works for the scorer; multiprocessing's own helper process does not."""
    while not over.wait(0.001):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                if not any(part.startswith("from multiprocessing.resource_tracker") for part in child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    return True
    return False


def run(name: str, data: Path) -> dict:
    """Return what ``behind_hostile`` gives for each of SETTINGS, and what ``worker_killed`` gives.

    Each is None if its process had to be killed: a thread that computes one huge power keeps all others waiting, the
    one that looks at the clock among them.
    """
    return {
        "behind": [in_child(behind_hostile, name, data, *setting, cap=LOADING + CAP) for setting in SETTINGS],
        "killed": in_child(worker_killed, name, data, cap=LOADING + 3 * CAP),
    }


def tables(result: dict) -> str:
    """Return two tables as Markdown."""
    columns = [f"{kind}, {threads} threads" for kind, threads in SETTINGS]
    return "\n".join(
        [
            f"### {HONEST} honest answers behind {HOSTILE} hostile ones: right of those right alone, seconds\n",
            markdown(
                ["scorer", *columns, "exceptions"],
                [[name, *_behind(parts["behind"])] for name, parts in result.items()],
            ),
            "\n### A worker killed while its calls are under way: right of those right alone\n",
            markdown(
                ["scorer", "worker killed", "meanwhile", "later"],
                [[name, *_killed(parts["killed"])] for name, parts in result.items()],
            ),
        ]
    )


def _behind(measured: list[dict | None]) -> list[str]:
    return [
        *map(_right_in_time, measured),
        ", ".join(sorted({error for one in measured if one for error in one["errors"]})) or "-",
    ]


def _right_in_time(one: dict | None) -> str:
    if one is None:
        return f"over {CAP:.0f} s"
    seconds = f"{one['seconds']:.2f} s" if one["back"] == HONEST else f"over {CAP:.0f} s"
    return f"{one['right']} of {one['alone']}, {seconds}"


def _killed(one: dict | None) -> list[str]:
    if one is None:
        return ["-"] * 3
    return [
        "yes" if one["killed"] else "has none",
        f"{one['during']} of {one['alone']}",
        f"{one['later']} of {one['later_alone']}",
    ]
