"""Scorers in child processes of their own, which can be killed and whose memory is limited."""

import asyncio
import logging
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import NamedTuple

from benchmarks.reward_score.peers import PEERS, Scorer

MEMORY = 4 << 30  # bytes of address space beyond what the imports took
# Answered before anything is measured: what a scorer loads or starts for them is not the hostile answers' fault.
WARM_UP = (("42", "42"), ("43", "42"), (r"\frac{x^2}{2}", r"\int_0^x t \, dt"))
CALLERS = ("main", "thread", "event loop")


class Outcome(NamedTuple):
    """What one call gave: a verdict, or an exception's name, or neither if it was killed; and seconds of wall time."""

    verdict: bool | None
    error: str | None
    seconds: float


def enter_child() -> None:
    """Make this new process the leader of a group, silent, and otherwise like one that a user starts.

    Scorers print and log once per odd answer. multiprocessing hands the way this process was started on to those that
    a scorer starts itself; verl's prime_math then cannot start any, and calls every answer wrong that needs one.
    """
    os.setsid()
    null = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(null, 1)
    os.dup2(null, 2)
    logging.disable(logging.CRITICAL)
    multiprocessing.set_start_method("fork", force=True)


def from_caller(scorer: Scorer, caller: str) -> Scorer:
    """Return the scorer as it is called from the main thread, another thread, or an event loop's executor."""
    if caller == "main":
        return scorer
    if caller == "thread":
        pool = ThreadPoolExecutor(1)
        return lambda *arguments: pool.submit(scorer, *arguments).result()
    loop = asyncio.new_event_loop()
    return lambda *arguments: loop.run_until_complete(_in_executor(loop, scorer, arguments))


async def _in_executor(loop: asyncio.AbstractEventLoop, scorer: Scorer, arguments: tuple[str, str]) -> bool:
    return await loop.run_in_executor(None, scorer, *arguments)


def limit_memory() -> None:
    """Let this process and its children take MEMORY bytes more than this process has now."""
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def kill_group(process: multiprocessing.Process) -> None:
    """Kill a process that leads a group, with all of the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended before it could start its group, or all of it ended
        process.kill()
    process.join()


def timed_call(scorer: Scorer, response: str, gold: str) -> Outcome:
    """Call a scorer once; an exception is an outcome."""
    started = time.perf_counter()
    try:
        verdict, error = scorer(response, gold), None
    except Exception as exception:
        verdict, error = None, type(exception).__name__
    return Outcome(verdict, error, time.perf_counter() - started)


def _serve(connection: Connection, name: str, caller: str) -> None:
    enter_child()
    try:
        scorer = from_caller(PEERS[name].load(), caller)
    except Exception:
        connection.send(traceback.format_exc())
        return
    for answer, gold in WARM_UP:
        timed_call(scorer, PEERS[name].write(answer), gold)
    limit_memory()
    connection.send(None)
    while True:
        connection.send(timed_call(scorer, *connection.recv()))


class IsolatedScorer:
    """A scorer in a child process; a call that outlasts the cap is killed, and the next call gets a new child.

    Args:
        name: a key of PEERS.
        caller: one of CALLERS.
        cap: seconds of wall time that a call may take.
    """

    def __init__(self, name: str, caller: str, cap: float):
        self._name, self._caller, self._cap = name, caller, cap
        self._process: multiprocessing.Process | None = None
        self._connection: Connection | None = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._name, self._caller))
        self._process.start()
        theirs.close()
        if (failure := self._connection.recv()) is not None:
            raise RuntimeError(f"{self._name} could not be loaded:\n{failure}")

    def __call__(self, response: str, gold: str) -> Outcome:
        """Return what the call gave. A child that died is the error "died".

        Raises:
            RuntimeError: if the scorer could not be loaded.
        """
        if self._process is None:
            self._start()
        started = time.perf_counter()
        self._connection.send((response, gold))
        try:
            if self._connection.poll(self._cap):
                return self._connection.recv()
            outcome = Outcome(None, None, time.perf_counter() - started)
        except (EOFError, ConnectionResetError):
            outcome = Outcome(None, "died", time.perf_counter() - started)
        self.close()
        return outcome

    def close(self) -> None:
        """Kill the child and its children."""
        if self._process is not None:
            kill_group(self._process)
            self._connection.close()
            self._process = None


def _answer(connection: Connection, function: Callable, arguments: tuple) -> None:
    enter_child()
    try:
        connection.send((function(*arguments), None))
    except Exception:
        connection.send((None, traceback.format_exc()))


def in_child(function: Callable, *arguments, cap: float | None = None):
    """Return ``function(*arguments)``, computed in a fresh process that is killed afterwards with all its children.

    Args:
        cap: seconds of wall time after which it is killed and the result is None; None for no such limit.

    Raises:
        RuntimeError: if the function raised, or the process died before it had an answer.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    try:
        result, failure = ours.recv() if ours.poll(cap) else (None, None)
    except EOFError:
        raise RuntimeError(f"{function.__module__}.{function.__name__}{arguments[:1]}: its process died") from None
    finally:
        kill_group(process)
        ours.close()
    if failure is not None:
        raise RuntimeError(f"{function.__module__}.{function.__name__}{arguments[:1]}:\n{failure}")
    return result
