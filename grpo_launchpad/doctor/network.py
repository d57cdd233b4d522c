"""The network as training sees it: interfaces, the host's own address, proxies, hubs, and the clock of others."""

import fcntl
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

INTERFACES = Path("/sys/class/net")
HUBS = {
    "Hugging Face": ("HF_ENDPOINT", "https://huggingface.co"),
    "ModelScope": ("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
}
HUB_SECONDS = 2.0
NAME_SECONDS = 1.0
# Variables that choose interfaces, and the program that reads them.
CHOOSERS = {"NCCL_SOCKET_IFNAME": "NCCL", "GLOO_SOCKET_IFNAME": "Gloo", "HCCL_SOCKET_IFNAME": "HCCL"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
LOCAL = ("localhost", "127.0.0.1")

_ADDRESS_OF_INTERFACE = 0x8915  # SIOCGIFADDR, netdevice(7)


@dataclass(frozen=True)
class Interface:
    """One network interface.

    Attributes:
        name: as the kernel calls it.
        up: whether it is in operation; the loopback always is.
        address: its IPv4 address, or "".
        megabits: per second, or None if it does not say.
    """

    name: str
    up: bool
    address: str
    megabits: int | None


@dataclass(frozen=True)
class Hub:
    """A place of models.

    Attributes:
        name: of the hub.
        url: asked.
        answer: "HTTP 200" and the like; "" if there was none.
        failure: why there was none, or "".
        skew_seconds: this machine's clock minus the hub's, to a second, or None.
    """

    name: str
    url: str
    answer: str
    failure: str
    skew_seconds: float | None


@dataclass(frozen=True)
class Network:
    """What the network looks like from here.

    Attributes:
        host: this machine's name.
        host_addresses: what the name resolves to; empty if it does not.
        interfaces: all, by name.
        chosen: variable of CHOOSERS -> its value, those that are set.
        proxies: variable -> "host:port", those that are set; a password in one is left out.
        bypassed: address -> whether a client that obeys no_proxy goes there without a proxy.
        offline: HF_HUB_OFFLINE is set, so that no hub was asked.
        hubs: those that were asked.
        unix_time: seconds, for the comparison of nodes.
    """

    host: str
    host_addresses: list[str]
    interfaces: list[Interface]
    chosen: dict[str, str]
    proxies: dict[str, str]
    bypassed: dict[str, bool]
    offline: bool
    hubs: list[Hub]
    unix_time: float


def read_network(ask_hubs: bool = True) -> Network:
    """Return the state of the network; takes at most HUB_SECONDS + NAME_SECONDS, whatever does not answer.

    Args:
        ask_hubs: False asks no host at all.
    """
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    asked = {} if offline or not ask_hubs else {name: os.environ.get(*where) for name, where in HUBS.items()}
    hubs: dict[str, Hub] = {}
    names: list[str] = []

    def ask(name: str, url: str) -> None:
        hubs[name] = _ask(name, url)

    def resolve() -> None:
        names.extend(_own_addresses())

    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in asked.items()]
    threads.append(threading.Thread(target=resolve, daemon=True))
    for thread in threads:
        thread.start()
    interfaces = [_interface(path.name) for path in sorted(INTERFACES.glob("*"))]
    end = time.monotonic() + (HUB_SECONDS + NAME_SECONDS if asked else NAME_SECONDS)
    for thread in threads:  # a name server that does not answer keeps its thread; the answer does without
        thread.join(max(0.0, end - time.monotonic()))
    late = {name: Hub(name, url, "", f"no answer within {HUB_SECONDS:.0f} s", None) for name, url in asked.items()}
    addresses = {interface.address for interface in interfaces if interface.up and interface.address}
    return Network(
        host=socket.gethostname(),
        host_addresses=list(names),
        interfaces=interfaces,
        chosen={name: os.environ[name] for name in CHOOSERS if os.environ.get(name)},
        proxies=_proxies(),
        bypassed={
            address: bool(urllib.request.proxy_bypass_environment(address)) for address in (*LOCAL, *sorted(addresses))
        },
        offline=offline,
        hubs=[hubs.get(name, late[name]) for name in asked],
        unix_time=time.time(),
    )


def _interface(name: str) -> Interface:
    folder = INTERFACES / name
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _ADDRESS_OF_INTERFACE, struct.pack("256s", os.fsencode(name)[:15]))
            address = socket.inet_ntoa(answer[20:24])
        except OSError:
            address = ""
    state = _text(folder / "operstate")
    speed = _text(folder / "speed")
    return Interface(
        name=name,
        up=state == "up" or (state == "unknown" and bool(address)),
        address=address,
        megabits=int(speed) if speed.isdecimal() else None,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # a downed interface has no speed
        return ""


def _own_addresses() -> list[str]:
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _proxies() -> dict[str, str]:
    found = {}
    for name in PROXIES:
        value = os.environ.get(name) or os.environ.get(name.upper())
        if value:
            parts = urlsplit(value if "//" in value else f"//{value}")
            found[name] = parts.netloc.rpartition("@")[2]
    return found


def _ask(name: str, url: str) -> Hub:
    """Ask for the head of a hub's first page, through the environment's proxies, as the hubs' clients do."""
    began = time.time()
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=HUB_SECONDS) as answer:
            status, date = answer.status, answer.headers.get("Date")
    except urllib.error.HTTPError as error:  # an answer all the same
        status, date = error.code, error.headers.get("Date")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return Hub(name, url, "", str(reason)[:160] or type(error).__name__, None)
    middle = (began + time.time()) / 2
    try:
        skew = round(middle - parsedate_to_datetime(date).timestamp() - 0.5, 1) if date else None
    except ValueError:
        skew = None
    return Hub(name, url, f"HTTP {status}", "", skew)
