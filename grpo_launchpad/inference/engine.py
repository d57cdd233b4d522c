"""vLLM in this process, one step at a time: token ids in, token ids out, as verl's rollout asks it.

Answers come as they finish, so that each is kept at once; ``LLM.generate`` returns none before all are done.
"""

import atexit
import gc
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from grpo_launchpad.launch.devices import variables_of

# Requests that wait in the engine beside those that run, so that it never idles.
AHEAD = 2


class EngineError(Exception):
    """The engine cannot run this model here; the text says why and what mends it."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn. temperature 0 takes the likeliest token; top_k -1 takes all."""

    temperature: float
    top_p: float = 1.0
    top_k: int = -1


@dataclass(frozen=True)
class Request:
    """One answer that is wanted.

    Attributes:
        key: given back with the answer.
        prompt: token ids.
        max_tokens: that the answer may have.
        seed: of this answer's sampling.
    """

    key: str
    prompt: list[int]
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Answer:
    """A finished answer: its token ids, and whether ``max_tokens`` ended it."""

    key: str
    tokens: list[int]
    truncated: bool


@dataclass(frozen=True)
class Step:
    """What one step of the engine made.

    Attributes:
        tokens: sampled in all answers together.
        running: answers that are begun or wait in the engine.
        answers: those that finished.
    """

    tokens: int
    running: int
    answers: list[Answer] = field(default_factory=list)


class Engine(Protocol):
    """What evaluation needs of an engine."""

    def run(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Step]: ...

    def close(self) -> None: ...


class VllmEngine:
    """A model in vLLM. On a CPU it computes in this process; a GPU's workers end with it."""

    def __init__(
        self,
        folder: Path,
        *,
        max_model_len: int,
        tensor_parallel: int = 1,
        max_num_seqs: int = 256,
        dtype: str = "auto",
    ):
        """Load a model.

        Args:
            folder: of the model.
            max_model_len: tokens of the longest prompt and its answer together.
            tensor_parallel: GPUs, or processes on a CPU, that share the model.
            max_num_seqs: answers at a time.
            dtype: of the weights in the engine, "auto" for the model's own; verl's rollout has bfloat16.

        Raises:
            EngineError: if vLLM is missing, or cannot load this model on this machine.
        """
        prepare_environment(tensor_parallel)
        try:
            from vllm import LLM
            from vllm.platforms import current_platform
        except ImportError as error:
            raise EngineError(f"vLLM cannot be imported ({error}). Install the project: make install") from error
        on_cpu = current_platform.is_cpu()
        try:
            self._llm = LLM(
                str(folder),
                max_model_len=max_model_len,
                tensor_parallel_size=tensor_parallel,
                max_num_seqs=max_num_seqs,
                dtype=dtype,
                enforce_eager=on_cpu,  # compiling takes longer than a small model's answers
                disable_log_stats=True,
                use_tqdm_on_load=False,
            )
        except Exception as error:  # vLLM raises what its backends raise
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise EngineError(f"{folder}: vLLM cannot run it here: {reason[-1][:400]}") from error
        self._at_a_time = max_num_seqs

    def run(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Step]:
        """Answer requests, as many at a time as fit, and yield after each step of the engine."""
        engine, waiting, keys = self._llm.llm_engine, iter(requests), {}
        lengths: dict[str, int] = {}
        number, exhausted = 0, False
        while not exhausted or keys:
            while not exhausted and len(keys) < AHEAD * self._at_a_time:
                request = next(waiting, None)
                if request is None:
                    exhausted = True
                    break
                name = str(number)
                keys[name], number = request.key, number + 1
                lengths[name] = 0
                engine.add_request(name, {"prompt_token_ids": request.prompt}, _parameters(request, sampling))
            if not keys:
                return
            tokens, answers = 0, []
            for output in engine.step():
                made = output.outputs[0]
                count = len(made.token_ids)
                tokens += count - lengths[output.request_id]
                lengths[output.request_id] = count
                if output.finished:
                    del lengths[output.request_id]
                    key = keys.pop(output.request_id)
                    answers.append(Answer(key, list(made.token_ids), made.finish_reason == "length"))
            yield Step(tokens, len(keys), answers)

    def stream(self, request: Request, sampling: Sampling) -> Iterator[list[int]]:
        """Answer one request and yield its token ids so far, after each step."""
        engine = self._llm.llm_engine
        engine.add_request(request.key, {"prompt_token_ids": request.prompt}, _parameters(request, sampling))
        try:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    yield list(output.outputs[0].token_ids)
        finally:
            engine.abort_request([request.key])

    def close(self) -> None:
        """Give the memory back, so that another model can be loaded."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._llm.llm_engine.engine_core.shutdown()
        del self._llm
        gc.collect()
        cleanup_dist_env_and_memory()


def prepare_environment(tensor_parallel: int = 1, *, in_process: bool = True) -> None:
    """Set what vLLM reads when it is imported, unless the user has: few words, and on a CPU what a run sets there."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR" if in_process else "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if is_cpu_build():
        atexit.register(_hush)
        for variable in variables_of("cpu", ""):
            if not variable.fixed:  # the fixed ones are verl's
                value = variable.value() if callable(variable.value) else variable.value
                os.environ.setdefault(variable.name, value)
        if in_process and tensor_parallel == 1:
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def is_cpu_build() -> bool:
    """Return whether the installed vLLM is one for CPUs, by its version, as vLLM itself tells."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return False


def _hush() -> None:
    """Keep Triton, which a CPU build imports and cannot use, from listing hundreds of leaks when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _parameters(request: Request, sampling: Sampling):
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=request.max_tokens,
        seed=request.seed,
        detokenize=False,
        output_kind=RequestOutputKind.CUMULATIVE,
    )
