"""The tensors of FSDP shards, whole, one at a time.

Each rank's file is a state dict of DTensors (``verl/utils/checkpoint/fsdp_checkpoint_manager.py``); the files are
mapped into memory, so that a model needs no more of it than its largest tensor.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor

from grpo_launchpad.export import CannotExport


def load(file: Path) -> dict:
    """Return what torch saved, with the tensors left in the file until they are used.

    Raises:
        CannotExport: if it cannot be read.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=False, mmap=True)
    except Exception as error:  # a torn file raises what its broken part happens to mean
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CannotExport(f"{file}: damaged ({first_line[:120]}). Give --step another checkpoint.") from error


class Shards:
    """The weights of an FSDP checkpoint by name, in the precision in which they were saved."""

    def __init__(self, files: Sequence[Path]):
        """Map the files of the ranks, in their order.

        Raises:
            CannotExport: if one cannot be read, or they do not have the same tensors.
        """
        self.folder = files[0].parent
        self.ranks = [load(file) for file in files]
        for number, rank in enumerate(self.ranks):
            if rank.keys() != self.ranks[0].keys():
                raise CannotExport(
                    f"{self.folder}: the shards of rank 0 and rank {number} are of different models.\n"
                    "  Copy the same checkpoint from every machine, or give --step another one."
                )

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranks[0])

    def __contains__(self, name: str) -> bool:
        return name in self.ranks[0]

    def numel(self, name: str) -> int:
        """Return how many numbers a tensor has, all ranks' parts together."""
        return self.ranks[0][name].numel()

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor put together from the ranks' parts.

        Raises:
            CannotExport: if the parts do not make one.
        """
        parts = [rank[name] for rank in self.ranks]
        first = parts[0]
        if not isinstance(first, DTensor):
            return first  # the same in every rank
        # The last dimension of the mesh shards; with hybrid sharding the ones before it repeat the same parts.
        placement = first.placements[-1]
        local = [part.to_local() for part in parts[: first.device_mesh.shape[-1]]]
        whole = torch.cat(local, dim=placement.dim) if placement.is_shard() else local[0]
        if whole.shape != first.shape:
            raise CannotExport(
                f"{self.folder}: the shards of {name} make {list(whole.shape)}, not {list(first.shape)}; "
                "they are of different checkpoints."
            )
        return whole
