"""What the name of a launcher says: run_<model>_<backend>_<task>.sh"""

import re
from dataclasses import dataclass
from pathlib import Path

FORM = re.compile(
    r"run_(?P<model>[A-Za-z0-9][A-Za-z0-9.-]*)_(?P<backend>(?:fsdp|megatron|cpu)(?:-lora)?(?:-npu)?)_(?P<task>\w+)"
)


class LauncherNameError(Exception):
    """A file's name is not that of a launcher; the text says what it should be."""


@dataclass(frozen=True)
class LauncherName:
    """The fields of a launcher's name.

    Attributes:
        model: as its publisher spells it, in lower case ("qwen2.5-7b").
        backend: "fsdp", "megatron" or "cpu", then "-lora" and "-npu" where they apply.
        task: a data set of ``data_prep`` ("gsm8k").
    """

    model: str
    backend: str
    task: str

    @classmethod
    def parse(cls, launcher: Path | str) -> "LauncherName":
        """Return the fields of a launcher's file name, with or without folder and ``.sh``.

        Raises:
            LauncherNameError: if it is of another form.
        """
        name = Path(launcher).name.removesuffix(".sh")
        found = FORM.fullmatch(name)
        if found is None:
            raise LauncherNameError(
                f"{name}: a launcher is named run_<model>_<backend>_<task>.sh, its backend fsdp, megatron or cpu, "
                "then -lora, then -npu, such as run_qwen2-7b_fsdp-lora_gsm8k.sh"
            )
        return cls(**found.groupdict())

    @property
    def engine(self) -> str:
        """Which engine of verl trains: "fsdp" (FSDP2) or "megatron"."""
        return "megatron" if self.backend.startswith("megatron") else "fsdp"

    @property
    def device(self) -> str:
        """What it trains on: "cuda", "npu" or "cpu"."""
        if self.backend.startswith("cpu"):
            return "cpu"
        return "npu" if self.backend.endswith("-npu") else "cuda"

    @property
    def is_lora(self) -> bool:
        return "-lora" in self.backend
