"""Interfaces, addresses, proxies, hubs and the clock: with a server of this test as the hub."""

import http.server
import threading
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

from grpo_launchpad.doctor import network
from grpo_launchpad.doctor.judge import judge
from grpo_launchpad.doctor.network import Interface

ETH = Interface("eth0", True, "10.0.0.7", 10000)
IB = Interface("ib0", True, "10.1.0.7", None)
DOWN = Interface("eth1", False, "", None)


@pytest.fixture
def hub(machine):
    class Handler(http.server.BaseHTTPRequestHandler):
        offset = 0.0
        status = 200

        def do_HEAD(self):
            self.send_response_only(Handler.status)
            self.send_header("Date", formatdate(time.time() + Handler.offset, usegmt=True))
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    machine.setenv("HF_ENDPOINT", address)
    machine.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:1")
    machine.setenv("HF_HUB_OFFLINE", "0")
    yield Handler
    server.shutdown()
    server.server_close()


def findings_of(machine, **changes):
    facts = machine.facts()
    return {each.item: each for each in judge(replace(facts, network=replace(facts.network, **changes)))}


def test_one_hub_that_answers_is_enough(machine, hub):
    hub.status = 403
    finding = machine.finding("hubs")
    assert finding.status == "ok"
    assert "HTTP 403" in finding.evidence
    assert "127.0.0.1:1: " in finding.evidence
    assert machine.finding("clock").status == "ok"


@pytest.mark.parametrize(("offset", "status"), [(60, "warn"), (-4000, "fail"), (0, "ok")])
def test_the_clock_is_compared_with_the_hubs(machine, hub, offset, status):
    hub.offset = offset
    finding = machine.finding("clock")
    assert finding.status == status
    assert ("synchronise" in finding.remedy) == (status != "ok")


def test_no_hub_is_to_be_looked_at_and_does_not_fail(machine, hub):
    machine.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    finding = machine.finding("hubs")
    assert finding.status == "warn"
    assert "HF_HUB_OFFLINE=1" in finding.remedy


def test_offline_asks_nobody(machine, hub):
    machine.setenv("HF_HUB_OFFLINE", "1")
    assert machine.facts().network.hubs == []
    assert machine.finding("hubs").status == "ok"


def test_a_hub_that_never_answers_is_left_after_a_while(machine, hub, monkeypatch):
    monkeypatch.setattr(network, "HUB_SECONDS", 0.1)
    monkeypatch.setattr(network, "NAME_SECONDS", 0.1)
    asked = threading.Event()
    monkeypatch.setattr(network, "_ask", lambda name, url: asked.wait(20))
    assert [each.answer for each in machine.facts().network.hubs] == ["", ""]
    asked.set()


def test_a_clock_behind_the_projects_files_fails(machine):
    assert findings_of(machine, unix_time=1e9)["clock"].status == "fail"


@pytest.mark.parametrize(
    ("variable", "value", "status"),
    [
        ("NCCL_SOCKET_IFNAME", "eth0", "ok"),
        ("NCCL_SOCKET_IFNAME", "eth", "ok"),
        ("NCCL_SOCKET_IFNAME", "=eth", "fail"),
        ("NCCL_SOCKET_IFNAME", "^docker,lo", "ok"),
        ("NCCL_SOCKET_IFNAME", "^eth,ib", "fail"),
        ("NCCL_SOCKET_IFNAME", "bond0", "fail"),
        ("NCCL_SOCKET_IFNAME", "eth1", "fail"),
        ("GLOO_SOCKET_IFNAME", "eth", "fail"),
        ("GLOO_SOCKET_IFNAME", "ib0", "ok"),
        ("GLOO_SOCKET_IFNAME", "lo", "ok"),
    ],
)
def test_interfaces_that_variables_name_have_to_be_there_and_up(machine, variable, value, status):
    finding = findings_of(machine, interfaces=[ETH, IB, DOWN], chosen={variable: value})["network interfaces"]
    assert finding.status == status
    assert ("unset it" in finding.remedy) == (status == "fail")


@pytest.mark.parametrize(
    ("addresses", "status"),
    [(["10.0.0.7"], "ok"), (["127.0.1.1"], "warn"), (["169.254.3.1"], "warn"), ([], "warn")],
)
def test_the_hosts_name_has_to_lead_to_an_address_that_others_reach(machine, addresses, status):
    machine.gpus(8)
    assert findings_of(machine, interfaces=[ETH], host_addresses=addresses)["own address"].status == status
    chosen = {"GLOO_SOCKET_IFNAME": "eth0"}
    assert findings_of(machine, interfaces=[ETH], host_addresses=addresses, chosen=chosen)["own address"].status == "ok"


def test_this_machines_interfaces_are_read(machine):
    found = {each.name: each for each in machine.facts().network.interfaces}
    assert found["lo"].address == "127.0.0.1"


@pytest.mark.parametrize(
    ("no_proxy", "status"),
    [
        ("", "warn"),
        ("localhost", "warn"),
        ("*", "ok"),
        ("localhost,127.0.0.1,{own}", "ok"),
        ("localhost,127.0.0.1", "?"),
    ],
)
def test_a_proxy_must_not_catch_this_machine(machine, no_proxy, status):
    own = [each.address for each in machine.facts().network.interfaces if each.address and each.up]
    machine.setenv("http_proxy", "http://user:secret@proxy.example:3128")
    machine.setenv("no_proxy", no_proxy.format(own=",".join(own)))
    finding = machine.finding("proxies")
    others = [address for address in own if not address.startswith("127.")]
    assert finding.status == (("warn" if others else "ok") if status == "?" else status)
    assert "secret" not in finding.evidence
    assert "proxy.example:3128" in finding.evidence
    if finding.remedy:
        assert "127.0.0.1" in finding.remedy


def test_a_proxy_for_https_alone_leaves_local_calls_alone(machine):
    machine.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert machine.finding("proxies").status == "ok"
