"""A launcher as text: what its name says, its header, its knobs and its arrays."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grpo_launchpad.knobs import Knob, knobs_of

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "grpo_trainer"
TASKS = {path.stem for path in (ROOT / "data_prep").glob("[a-z]*.py")} - {"custom"}
ARRAYS = ("DATA", "MODEL", "ALGORITHM", "ACTOR", "ROLLOUT", "REF", "REWARD", "TRAINER")

NAME = re.compile(
    r"run_(?P<model>[a-z0-9][a-z0-9.-]*)_(?P<backend>(?:fsdp|megatron|cpu)(?:-lora)?(?:-npu)?)_(?P<task>[a-z0-9_]+)"
)
FRAME = (
    "set -euo pipefail",
    "# shellcheck source=../lib/launch.sh",
    'source "$(dirname "${BASH_SOURCE[0]}")/../lib/launch.sh"',
)
KNOB_LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=\$\{(?P=name):-(?P<default>[^}$`\"'\\]+)\}(?: +# (?P<reason>\S.*))?")
ARRAY_LINE = re.compile(r"(?P<name>[A-Z]+)=\((?P<element>\"[^\"]*\"\))?(?: +# \S.*)?")
ELEMENT_LINE = re.compile(r' {4}"[^"]+"(?: +# \S.*)?')


@dataclass(frozen=True)
class Launcher:
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def fields(self) -> re.Match:
        match = NAME.fullmatch(self.name)
        assert match, f"{self.path.name} is not run_<model>_<backend>_<task>.sh"
        return match

    @property
    def model(self) -> str:
        return self.fields["model"]

    @property
    def backend(self) -> str:
        return self.fields["backend"]

    @property
    def task(self) -> str:
        return self.fields["task"]

    @property
    def engine(self) -> str:
        return "megatron" if self.backend.startswith("megatron") else "fsdp"

    @property
    def device(self) -> str:
        if self.backend.startswith("cpu"):
            return "cpu"
        return "npu" if self.backend.endswith("-npu") else "cuda"

    @property
    def branch(self) -> str:
        """The path through examples/lib that the launcher takes."""
        return f"{self.engine} on {self.device}"

    @property
    def twin(self) -> "Launcher | None":
        """Of a launcher for NPUs, the one for GPUs, if there is one for the same model and task."""
        return BY_NAME.get(self.name.replace("-npu_", "_"))

    @cached_property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    @cached_property
    def header(self) -> list[str]:
        return self.lines[: self.lines.index(FRAME[0])]

    @cached_property
    def body(self) -> list[str]:
        """Everything between the frame's opening lines and the call at the end."""
        return self.lines[self.lines.index(FRAME[-1]) + 1 : -1]

    @cached_property
    def knob_lines(self) -> list[re.Match]:
        return [match for match in map(KNOB_LINE.fullmatch, self.body) if match]

    @cached_property
    def knobs(self) -> dict[str, str]:
        """Each knob with its default."""
        return {match["name"]: match["default"] for match in self.knob_lines}

    @cached_property
    def arrays(self) -> dict[str, int]:
        """Each array with the number of its elements."""
        sizes: dict[str, int] = {}
        for line in self.body:
            if opening := ARRAY_LINE.fullmatch(line):
                name = opening["name"]
                sizes[name] = int(opening["element"] is not None)
            elif ELEMENT_LINE.fullmatch(line):
                sizes[name] += 1
        return sizes

    @cached_property
    def code(self) -> list[str]:
        """Lines that do something, without their comments."""
        code = [line for line in self.lines if line.strip() and not line.lstrip().startswith("#")]
        return [re.sub(r"\s+# .*", "", line) for line in code]

    @cached_property
    def code_beside_frame_and_knobs(self) -> list[str]:
        frame = (*FRAME, self.code[-1], ")")
        return [line for line in self.code if line not in frame and not KNOB_LINE.fullmatch(line)]

    def table(self) -> list[Knob]:
        """The knobs that this launcher understands, whether it names them or not."""
        return knobs_of(self.engine)


LAUNCHERS = [Launcher(path) for path in sorted(FOLDER.glob("*.sh"))]
BY_NAME = {launcher.name: launcher for launcher in LAUNCHERS}
# One launcher of each backend and device goes through a whole launch; of the others only the command is looked at.
REPRESENTATIVES = [
    name
    for name in (
        "run_tiny_cpu_arithmetic",
        "run_qwen2-7b_fsdp_gsm8k",
        "run_qwen2-7b_megatron_gsm8k",
        "run_qwen2.5-7b_fsdp-npu_gsm8k",
    )
    if name in BY_NAME
]

# What each launcher that has no smoke run says of it. A recipe leaves this list when it can.
_ADAPTER, _MODEL = (f"SMOKE=1 needs Megatron-Bridge for {what}" for what in ("an adapter", "this model"))
WITHOUT_SMOKE = {
    "run_qwen2-7b_megatron-lora_math": _ADAPTER,
    "run_qwen3-30b-a3b_megatron-lora_math": _ADAPTER,
    "run_qwen2.5-vl-7b_megatron_geo3k": _MODEL,
    "run_qwen3-vl-8b_megatron_geo3k": _MODEL,
    "run_qwen3-vl-30b-a3b_megatron_geo3k": _MODEL,
    "run_qwen3.5-35b-a3b_megatron_geo3k": _MODEL,
}


def one_of_each(kind: str) -> list[Launcher]:
    """The first launcher of each engine, or of each branch."""
    return list({getattr(launcher, kind): launcher for launcher in reversed(LAUNCHERS)}.values())
