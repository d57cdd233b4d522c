"""Ray: what runs, what `ray.init()` would join, and where its sockets are."""

import socket

import pytest


def test_nothing_runs(machine):
    finding = machine.finding("Ray")
    assert (finding.status, finding.evidence) == ("ok", "no raylet runs here; verl starts its own")


def test_a_cluster_that_is_remembered_and_gone_fails(machine):
    machine.file("tmp/ray/ray_current_cluster", "127.0.0.1:1\n")
    finding = machine.finding("Ray")
    assert finding.status == "fail"
    assert "ray stop" in finding.remedy
    machine.setenv("RAY_ADDRESS", "local")
    assert machine.finding("Ray").status == "ok"


def test_a_cluster_that_answers_would_be_joined(machine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        machine.file("tmp/ray/ray_current_cluster", f"127.0.0.1:{server.getsockname()[1]}\n")
        finding = machine.finding("Ray")
    assert finding.status == "warn"
    assert "RAY_ADDRESS=local" in finding.remedy


def test_raylets_are_found_among_the_processes(machine):
    machine.file("processes/4711/comm", "raylet\n")
    machine.file("processes/4712/comm", "bash\n")
    (found,) = machine.facts().ray.raylets
    assert found.startswith("4711 of user ")
    assert "raylet 4711" in machine.finding("Ray").evidence


@pytest.mark.parametrize(("length", "status"), [(20, "ok"), (120, "fail")])
def test_the_path_of_its_sockets_has_to_be_short(machine, length, status):
    folder = machine.folder / "x"
    folder = folder.with_name("x" * max(1, length - len(str(folder)) + 1)) if length > 100 else "/tmp"
    machine.setenv("RAY_TMPDIR", str(folder))
    finding = machine.finding("Ray's folder")
    assert finding.status == status
    if status == "fail":
        assert "RAY_TMPDIR" in finding.evidence
        assert "/tmp" in finding.remedy
