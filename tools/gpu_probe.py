"""Measure memory and time of real training steps on one GPU, as rows for the calibration of the estimates.

    python tools/gpu_probe.py                         # every setting that the time allows, to gpu_probe.jsonl
    python tools/gpu_probe.py --architecture qwen2.5-0.5b --seconds 120 --out probe.jsonl

This file needs PyTorch and transformers, nothing else, and no network: it can be copied to a machine by itself. Weights
are random, of the published architectures of Qwen2.5 (0.5B, 1.5B, 7B). A step is what verl's FSDP2 engine does with one
device: weights and moments in fp32 (adapters' base in bf16), bf16 in the layers, fp32 in the reduction, AdamW. After a
first update, which makes the moments, log-probabilities without gradients and one update of two micro-batches count.

Each row is written when it is measured, in the form of the published measurements that `python -m benchmarks.estimate`
reads. What does not fit is a row as well (`oom`). A setting that would not end in time is not begun.
"""

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn import functional
from transformers import AutoModelForCausalLM, Qwen2Config

GIB = 2**30
LENGTH = 1024  # of a sequence
RANK = 32
MICRO_BATCHES = 2
TRAINER = Path(__file__).resolve().parents[1] / "examples" / "torch_trainer" / "train.py"
TRAINER_SECONDS = 60.0  # that the small trainer may take at the end

# Published configurations: layers, width, feed-forward width, heads, heads of keys, vocabulary, tied embeddings.
ARCHITECTURES = {
    "tiny": (2, 64, 128, 4, 2, 512, True),
    "qwen2.5-0.5b": (24, 896, 4864, 14, 2, 151936, True),
    "qwen2.5-1.5b": (28, 1536, 8960, 12, 2, 151936, True),
    "qwen2.5-7b": (28, 3584, 18944, 28, 4, 152064, False),
}
HUB_NAMES = {
    "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B-Instruct",
    "qwen2.5-1.5b": "Qwen/Qwen2.5-1.5B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
}


@dataclass(frozen=True)
class Setting:
    """One configuration to be measured.

    Attributes:
        architecture: key of ARCHITECTURES.
        rank: of adapters on all linear layers; 0 trains all weights.
        checkpointing: whether layers are computed again in the backward pass.
        tokens: of a micro-batch.
        length: of a sequence.
    """

    architecture: str
    rank: int
    checkpointing: bool
    tokens: int
    length: int

    @property
    def name(self) -> str:
        trained = f"lora{self.rank}" if self.rank else "full"
        return f"{self.architecture}.{trained}.ckpt{int(self.checkpointing)}.tok{self.tokens}"


def settings_of(architectures: list[str]) -> list[Setting]:
    """Return the settings in the order of their worth: one of each kind first, then other token budgets."""
    budgets = (4096, 16384, 8192, 32768)
    chosen = []
    for tokens in budgets:
        for architecture in architectures:
            for rank, checkpointing in ((0, True), (RANK, True), (0, False), (RANK, False)):
                if architecture == "tiny":
                    chosen.append(Setting(architecture, rank, checkpointing, tokens // 32, 64))
                else:
                    chosen.append(Setting(architecture, rank, checkpointing, tokens, LENGTH))
    return chosen


class Adapter(torch.nn.Module):
    """A linear layer that stays as it is, with a low-rank term beside it (Hu et al. 2021, arXiv 2106.09685)."""

    def __init__(self, base: torch.nn.Linear, rank: int):
        super().__init__()
        self.base = base
        place = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.down = torch.nn.Linear(base.in_features, rank, bias=False, **place)
        self.up = torch.nn.Linear(rank, base.out_features, bias=False, **place)
        torch.nn.init.zeros_(self.up.weight)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.base(inputs) + self.up(self.down(inputs))


def add_adapters(model: torch.nn.Module, rank: int) -> None:
    """Freeze a model and put an adapter on each linear layer of its decoder."""
    model.requires_grad_(False)
    for layer in model.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, module in list(block.named_children()):
                if isinstance(module, torch.nn.Linear):
                    setattr(block, name, Adapter(module, rank))


def build(setting: Setting, device: torch.device) -> torch.nn.Module:
    """Return a sharded model with random weights: in fp32, or, with adapters, in bf16."""
    layers, hidden, width, heads, kv_heads, vocab, tied = ARCHITECTURES[setting.architecture]
    config = Qwen2Config(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=width,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocab,
        tie_word_embeddings=tied,
        max_position_embeddings=32768,
        use_cache=False,
    )
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16 if setting.rank else torch.float32, attn_implementation="sdpa"
        )
    if setting.rank:
        add_adapters(model, setting.rank)
    if setting.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.model.layers:
        fully_shard(layer, mp_policy=policy)
    fully_shard(model, mp_policy=policy)
    return model.train()


class Meter:
    """Peak memory and time between two points, on a GPU by PyTorch's allocator, on a CPU by Linux."""

    def __init__(self, device: torch.device):
        self.device = device
        self.on_gpu = device.type == "cuda"

    def start(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, proc(5)
        self.began = time.monotonic()

    def stop(self) -> dict[str, float]:
        """Return seconds and peaks in GiB since ``start``, by the names of the calibration's rows."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
            seconds = time.monotonic() - self.began
            return {
                "seconds": seconds,
                "peak_allocated_gib": torch.cuda.max_memory_allocated(self.device) / GIB,
                "peak_reserved_gib": torch.cuda.max_memory_reserved(self.device) / GIB,
            }
        seconds = time.monotonic() - self.began
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return {"seconds": seconds, "peak_resident_gib": int(status["VmHWM"].split()[0]) * 1024 / GIB}

    def allocated(self) -> float:
        """Return the GiB that are held now; on a CPU 0."""
        return torch.cuda.memory_allocated(self.device) / GIB if self.on_gpu else 0.0


def log_probabilities(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each token but the first of its sequence, from logits in fp32."""
    logits = model(input_ids=tokens).logits[:, :-1].float()
    return -functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")


def measure(setting: Setting, device: torch.device) -> Iterator[tuple[str, str, float]]:
    """Run a setting's steps; yield (phase, what, value) as each is measured, with what "" for a step on the way.

    ``peak_allocated_gib`` and the like are of a whole update, as in other sources; with a phase's name before, of it.

    Raises:
        torch.cuda.OutOfMemoryError: if a phase does not fit; what was yielded before holds.
    """
    meter = Meter(device)
    model = build(setting, device)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)
    if meter.on_gpu:
        yield "load", "loaded_gib", meter.allocated()
    vocab = ARCHITECTURES[setting.architecture][5]
    shape = (max(1, setting.tokens // setting.length), min(setting.length, setting.tokens))
    batches = [torch.randint(vocab, shape, device=device) for _ in range(MICRO_BATCHES)]

    def forward() -> None:
        with torch.no_grad():
            for tokens in batches:
                log_probabilities(model, tokens)

    def backward() -> None:
        for tokens in batches:  # gradients are reduced after each, as verl does by default
            (log_probabilities(model, tokens).mean() / -len(batches)).backward()

    for phase, work in (("warm-up", forward), ("first backward", backward), ("first optimizer step", optimizer.step)):
        work()
        yield phase, "", 0.0  # nothing of it is kept: kernels are chosen, moments made
    if meter.on_gpu:
        yield "between updates", "model_states_gib", meter.allocated()
    optimizer.zero_grad(set_to_none=True)
    update: dict[str, float] = {}
    seconds = 0.0
    for phase, work in (("log-probabilities", forward), ("backward", backward), ("optimizer step", optimizer.step)):
        found = _measured(meter, work)
        took = found.pop("seconds")
        for what, value in found.items():
            yield phase, f"{phase.replace('-', '_').replace(' ', '_')}_{what}", value
        if work is forward:
            yield phase, "old_log_prob_s", took
            continue
        seconds += took
        update = {what: max(value, update.get(what, 0.0)) for what, value in found.items()}
    for what, value in update.items():
        yield "update", what, value
    yield "update", "update_s", seconds


def _measured(meter: Meter, work: Callable[[], object]) -> dict[str, float]:
    meter.start()
    work()
    return meter.stop()


class Rows:
    """The file of rows, which is complete after each of them."""

    def __init__(self, path: Path, device: torch.device):
        self.path, self.count = path, 0
        self.file = path.open("a", encoding="utf-8")
        self.date = datetime.now(UTC).strftime("%Y-%m-%d")
        self.gpu = {"name": platform.machine() + " CPU", "gib": None}
        self.software = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "cuda": torch.version.cuda,
        }
        if device.type == "cuda":
            properties = torch.cuda.get_device_properties(device)
            self.gpu = {"name": properties.name, "gib": round(properties.total_memory / GIB, 2)}

    def write(self, setting: Setting, phase: str, what: str, value: float, **more: Any) -> None:
        """Add a row in the calibration's form."""
        run = f"gpu_probe.{self.date}.{str(self.gpu['name']).replace(' ', '_')}.{setting.name}"
        row = {
            "id": f"{run}.{phase.replace(' ', '_')}.{what}",
            "run": run,
            "split_group": run,
            "source": {"repo": "grpo-launchpad", "path": "tools/gpu_probe.py", "date": self.date},
            "what": what,
            "value": round(value, 4),
            "unit": "s" if what.endswith("_s") else "" if what == "oom" else "GiB",
            "model": HUB_NAMES.get(setting.architecture, setting.architecture),
            "engine": "fsdp2",
            "gpu": self.gpu,
            "world": 1,
            "tp": 1,
            "pp": 1,
            "vpp": None,
            "cp": 1,
            "ep": 1,
            "etp": None,
            "dp": 1,
            "micro_batch": max(1, setting.tokens // setting.length),
            "token_budget": setting.tokens,
            "seq_len": min(setting.length, setting.tokens),
            "prompt_len": None,
            "response_len": None,
            "global_batch": MICRO_BATCHES * max(1, setting.tokens // setting.length),
            "n": None,
            "dtype": {
                "params": "bf16 base, bf16 adapters" if setting.rank else "fp32, bf16 compute",
                "grads": "bf16 adapters" if setting.rank else "fp32",
                "optimizer": "bf16 m, v of adapters" if setting.rank else "fp32 m, v",
            },
            "distributed_optimizer": None,
            "recompute": {
                "mode": "full" if setting.checkpointing else "none",
                "details": "transformers, not reentrant",
            },
            "offload": "none",
            "lora_rank": setting.rank,
            "sequence_parallel": False,
            "fp8": False,
            "attention": "sdpa",
            "engine_util": None,
            "extra": {
                "phase": phase,
                "logits": "bf16, and a copy in fp32",
                "micro_batches": MICRO_BATCHES,
                **self.software,
                **more,
            },
            "confidence": "a",
            "confidence_note": None,
            "in_preflight": False,
        }
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.count += 1


@contextmanager
def one_process(device: torch.device) -> Iterator[None]:
    """Join a group of this process alone, which FSDP2 asks for."""
    with tempfile.TemporaryDirectory() as folder:
        store = dist.FileStore(str(Path(folder) / "store"), 1)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def probe(settings: list[Setting], device: torch.device, rows: Rows, seconds: float) -> None:
    """Measure settings until none is left that fits in the time."""
    end = time.monotonic() + seconds
    took: dict[str, float] = {}
    too_large: list[Setting] = []
    for setting in settings:
        left = end - time.monotonic()
        # A setting takes at least as long as the last of its architecture, and more with more tokens.
        if left < 1.5 * took.get(setting.architecture, 0.0) + 1:
            print(f"{setting.name}: not begun, {left:.0f} s are left")
            continue
        if any(_is_larger(setting, other) for other in too_large):
            print(f"{setting.name}: not begun, a smaller one did not fit")
            continue
        began = time.monotonic()
        reached = "load"
        try:
            for phase, what, value in measure(setting, device):
                if what:
                    rows.write(setting, phase, what, value)
                reached = phase
        except torch.cuda.OutOfMemoryError as error:
            too_large.append(setting)
            rows.write(setting, "after " + reached, "oom", 1, message=str(error).splitlines()[0][:200])
        finally:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
        took[setting.architecture] = time.monotonic() - began
        outcome = "out of memory" if setting in too_large else "done"
        print(f"{setting.name}: {outcome}, {took[setting.architecture]:.1f} s, {end - time.monotonic():.0f} s left")


def _is_larger(setting: Setting, other: Setting) -> bool:
    """Say whether a setting needs at least what another one does."""
    same = (setting.architecture, setting.rank) == (other.architecture, other.rank)
    return same and setting.tokens >= other.tokens and (other.checkpointing or not setting.checkpointing)


def small_trainer(device: torch.device, rows: Rows, seconds: float) -> None:
    """Let examples/torch_trainer learn to add, if this file lies in the project."""
    if not TRAINER.is_file() or seconds < 5:
        return
    setting = Setting("tiny", 0, False, 0, 1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAINER), "--output_dir", f"{folder}/output", "--log_dir", f"{folder}/runs"]
        environment = dict(os.environ)
        if device.type != "cuda":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=seconds, cwd=folder, check=False
            )
            said, code = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:], done.returncode
        except subprocess.TimeoutExpired:
            said, code = [f"not done after {seconds:.0f} s"], None
    more = {"said": said, "exit_code": code, "trainer": "examples/torch_trainer, arithmetic"}
    rows.write(setting, "arithmetic", "torch_trainer_s", time.monotonic() - began, **more)
    print(f"torch_trainer on arithmetic: exit code {code}, {' '.join(said)}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="gpu_probe", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu is for testing this program")
    parser.add_argument(
        "--architecture", action="append", choices=ARCHITECTURES, help="may be repeated; default: the three of Qwen2.5"
    )
    parser.add_argument("--seconds", type=float, default=450.0, help="to end in (default: 450)")
    parser.add_argument("--out", type=Path, default=Path("gpu_probe.jsonl"), help="rows are added to this file")
    args = parser.parse_args(arguments)
    if not math.isfinite(args.seconds) or args.seconds <= 0:
        parser.error(f"--seconds {args.seconds:g}: give a number above 0")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "gpu_probe: PyTorch sees no GPU here; --device cpu tests this program\n")
    device = torch.device(args.device, 0) if args.device == "cuda" else torch.device("cpu")
    began = time.monotonic()
    torch.manual_seed(0)
    try:
        rows = Rows(args.out, device)
    except OSError as error:
        parser.exit(2, f"gpu_probe: {args.out}: {error.strerror}\n")
    chosen = args.architecture or [name for name in ARCHITECTURES if name != "tiny"]
    with one_process(device):
        reserved = min(TRAINER_SECONDS, 0.15 * args.seconds)
        probe(settings_of(chosen), device, rows, args.seconds - reserved)
    small_trainer(device, rows, args.seconds - (time.monotonic() - began))
    print(f"{rows.count} rows in {args.out}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
