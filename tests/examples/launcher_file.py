"""The launchers as the tests see them: which there are, their pages, and their plans."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from grpo_launchpad.launch.knobs import Knob, knobs_of
from grpo_launchpad.launch.launchers import FOLDER
from grpo_launchpad.launch.name import LauncherName
from grpo_launchpad.launch.page import FRAME, Page
from grpo_launchpad.launch.plan import ROOT, Plan, plan_of_page

TASKS = {path.stem for path in (ROOT / "data_prep").glob("[a-z]*.py")} - {"custom"}
ARRAYS = ("CLUSTER", "DATA", "ALGORITHM", "REWARD", "MODEL", "ACTOR", "ROLLOUT", "TRAINER")


@dataclass(frozen=True)
class Launcher:
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def fields(self) -> LauncherName:
        return LauncherName.parse(self.path)

    @property
    def model(self) -> str:
        return self.fields.model

    @property
    def backend(self) -> str:
        return self.fields.backend

    @property
    def task(self) -> str:
        return self.fields.task

    @property
    def engine(self) -> str:
        return self.fields.engine

    @property
    def device(self) -> str:
        return self.fields.device

    @property
    def branch(self) -> str:
        """The way through grpo_launchpad/launch that the launcher takes."""
        return f"{self.engine} on {self.device}"

    @property
    def twin(self) -> "Launcher | None":
        """Of a launcher for NPUs, the one for GPUs, if there is one for the same model and task."""
        return BY_NAME.get(self.name.replace("-npu_", "_"))

    @cached_property
    def page(self) -> Page:
        return Page(self.path)

    @cached_property
    def text_lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    @cached_property
    def header(self) -> list[str]:
        return self.text_lines[: self.text_lines.index(FRAME)]

    @property
    def knobs(self) -> dict[str, str]:
        """Each knob that it names, with its default."""
        return self.page.knobs

    def table(self) -> list[Knob]:
        """The knobs that it understands, whether it names them or not."""
        return knobs_of(self.engine)

    def plan(self, *arguments: str, **variables: str) -> Plan:
        """What it does with these arguments and this environment, in a project at /the project."""
        return plan_of_page(self.path, variables, Path("/the project"), arguments)

    def settings(self, *arguments: str, **variables: str) -> dict[str, str]:
        """Each key that verl is given, with its value as Hydra reads it."""
        return {key: setting.value for key, setting in self.plan(*arguments, **variables).settings.items()}


LAUNCHERS = [Launcher(path) for path in sorted(FOLDER.glob("*.sh"))]
BY_NAME = {launcher.name: launcher for launcher in LAUNCHERS}
# One launcher of each backend and device goes through a whole launch; of the others only the plan is looked at.
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
