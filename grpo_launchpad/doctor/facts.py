"""All facts of one machine, gathered once. They travel as JSON: the nodes of a cluster send theirs to one judge."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grpo_launchpad.doctor.accelerators import Accelerator, Accelerators, find_accelerators
from grpo_launchpad.doctor.network import Hub, Interface, Network, read_network
from grpo_launchpad.doctor.ray_cluster import RayCluster, read_ray
from grpo_launchpad.doctor.system import Disk, System, hub_cache, read_disk, read_system
from grpo_launchpad.doctor.versions import ROOT, cuda_of_torch, installed


@dataclass(frozen=True)
class Facts:
    """What was found on one machine.

    Attributes:
        seconds: that the gathering took.
        installed: distribution -> version.
        torch_cuda: the CUDA of the installed torch, "" for a build without, None without torch.
        newest_file: time of the project's file, in seconds, that no clock may be behind.
        accelerators, system, network, ray: by their modules.
        runs: the disk of the runs.
        hub_cache: the disk of the hub's cache.
    """

    seconds: float
    installed: dict[str, str]
    torch_cuda: str | None
    newest_file: float
    accelerators: Accelerators
    system: System
    network: Network
    ray: RayCluster
    runs: Disk
    hub_cache: Disk

    def as_json(self) -> dict[str, Any]:
        """Return the facts as what ``json`` can write, and ``of_json`` reads."""
        return asdict(self)

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> "Facts":
        """Return the facts that another machine sent."""
        accelerators, network, ray = (dict(found[name]) for name in ("accelerators", "network", "ray"))
        accelerators["devices"] = [Accelerator(**each) for each in accelerators["devices"]]
        network["interfaces"] = [Interface(**each) for each in network["interfaces"]]
        network["hubs"] = [Hub(**each) for each in network["hubs"]]
        ray["disk"] = Disk(**ray["disk"])
        built = {
            "accelerators": Accelerators(**accelerators),
            "system": System(**found["system"]),
            "network": Network(**network),
            "ray": RayCluster(**ray),
            "runs": Disk(**found["runs"]),
            "hub_cache": Disk(**found["hub_cache"]),
        }
        return cls(**(found | built))


def gather(*, ask_hubs: bool = True, runs: Path = ROOT / "runs") -> Facts:
    """Return the facts of this machine. Reads files and asks hosts; writes nothing, imports no engine.

    Args:
        ask_hubs: False asks no hub.
        runs: the folder of the runs.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        network = pool.submit(read_network, ask_hubs)
        accelerators = pool.submit(find_accelerators)
        ray = pool.submit(read_ray)
        found = {
            "installed": installed(),
            "torch_cuda": cuda_of_torch(),
            "newest_file": (ROOT / "grpo_launchpad" / "__main__.py").stat().st_mtime,
            "system": read_system(),
            "runs": read_disk(runs),
            "hub_cache": read_disk(hub_cache()),
        }
        found |= {"network": network.result(), "accelerators": accelerators.result(), "ray": ray.result()}
    return Facts(seconds=round(time.monotonic() - began, 3), **found)
