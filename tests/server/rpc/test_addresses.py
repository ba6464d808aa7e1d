"""The addresses that a server listens on, and those that it refuses."""

import json
import socket
import stat
from pathlib import Path

import grpc
import pytest
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium_server.serve.addresses import is_reachable
from podium_server.testing.calls import declared

from tests.server.rpc.processes import refused, started

_USAGE = 2


def _record(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        request = RecordRequest(experiment="x", events=[declared(), declared()])
        return RecordingServiceStub(channel).Record(request, timeout=120).revision


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_an_address_that_others_can_reach_is_refused(address: str, tmp_path: Path) -> None:
    """Without --insecure the server does not start, logs why, and leaves no store behind."""
    ended = refused("--listen", address, "--store", f"sqlite:///{tmp_path / 'podium.db'}")
    assert ended.returncode == _USAGE
    assert ended.stdout == ""
    assert address in ended.stderr
    assert "--insecure" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "reachable"),
    [
        (["127.0.0.1"], False),
        (["127.0.0.1", "::1"], False),
        (["127.0.0.1", "192.0.2.1"], True),
        (["192.0.2.1", "127.0.0.1"], True),
        (["::1", "2001:db8::1"], True),
        (["192.0.2.1"], True),
    ],
)
def test_a_name_is_local_if_all_its_addresses_are(
    found: list[str], reachable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address that other machines can reach makes the name reachable."""

    def resolve(host: str, _port: object, **_kind: object) -> list[object]:
        assert host == "box"
        return [(None, None, None, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert is_reachable("box:0") is reachable


def test_insecure_serves_others_and_warns(tmp_path: Path) -> None:
    """With --insecure it starts, and the log explains the risk."""
    arguments = ("--listen", "0.0.0.0:0", "--insecure")
    with started(tmp_path / "podium.db", *arguments) as (process, address):
        assert _record(address.replace("0.0.0.0", "127.0.0.1")) == 1  # noqa: S104 - compared only
        process.terminate()
        _, log = process.communicate(timeout=120)
    assert "WARNING" in log
    assert "other machines can reach 0.0.0.0:0" in log


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:port", ":0", "127.0.0.1:"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    """The error shows the form of an address."""
    ended = refused("--listen", address, "--store", f"sqlite:///{tmp_path / 'podium.db'}")
    assert ended.returncode == _USAGE
    assert "HOST:PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:65536", "a port is at most 65535"),
        ("127.0.0.1:99999", "a port is at most 65535"),
        ("::1:0", "such as '[::1]:0', not '::1:0'"),
        ("unix:/nowhere/podium.sock", "cannot listen on unix:/nowhere/podium.sock: No such file"),
        ("unix:/" + "x" * 107, "the path after unix: has at most 107 bytes"),
        ("192.0.2.1:0", "cannot listen on 192.0.2.1:0: Cannot assign requested address"),
    ],
)
def test_why_an_address_cannot_be_listened_on(address: str, why: str, tmp_path: Path) -> None:
    """The one line of the log has the error, and gRPC adds none of its own."""
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    ended = refused("--listen", address, "--store", store, "--insecure", "--log-format", "json")
    assert ended.returncode == _USAGE
    *warnings, error = map(json.loads, ended.stderr.splitlines())
    assert why in error["message"]
    assert [line["level"] for line in warnings] == ["warning"] * address.startswith("192")


@pytest.mark.parametrize(
    "setting",
    [
        "--limit=name_bytes=0",
        "--limit=name_bytes=-1",
        "--limit=name_bytes=1025",
        "--grace=-1",
        "--grace=nan",
        "--grace=x",
    ],
)
def test_a_setting_that_cannot_be(setting: str, tmp_path: Path) -> None:
    """A bound of nothing, or no time at all, is refused with what would be right."""
    ended = refused(setting, "--store", f"sqlite:///{tmp_path / 'podium.db'}", "--listen", "x")
    assert ended.returncode == _USAGE
    assert " from " in ended.stderr or ", 0 or more" in ended.stderr


def test_a_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    """A unix socket has mode 0600 and serves like any address."""
    path = tmp_path / "podium.sock"
    with started(tmp_path / "podium.db", "--listen", f"unix:{path}") as (_, address):
        assert address == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert _record(address) == 1


def test_a_socket_that_is_served_is_left_alone(tmp_path: Path) -> None:
    """A second server on the socket is refused, and the first one continues to answer."""
    path = tmp_path / "podium.sock"
    with started(tmp_path / "podium.db", "--listen", f"unix:{path}") as (_, address):
        second = f"sqlite:///{tmp_path / 'second.db'}"
        ended = refused("--listen", f"unix:{path}", "--store", second)
        assert ended.returncode == _USAGE
        assert "another server" in ended.stderr
        assert _record(address) == 1


def test_a_socket_that_a_dead_server_left_is_taken_over(tmp_path: Path) -> None:
    """After a kill -9 the next server listens where the last one did."""
    path, store = tmp_path / "podium.sock", tmp_path / "podium.db"
    with started(store, "--listen", f"unix:{path}") as (process, address):
        assert _record(address) == 1
        process.kill()
        process.wait(120)
    assert path.exists()
    with started(store, "--listen", f"unix:{path}") as (_, address):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert _record(address) == 1


def test_a_file_is_no_socket(tmp_path: Path) -> None:
    """A file in the place of the socket is not overwritten."""
    path = tmp_path / "podium.sock"
    path.write_text("precious")
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    ended = refused("--listen", f"unix:{path}", "--store", store)
    assert ended.returncode == _USAGE
    assert path.read_text() == "precious"


def test_a_second_server_on_the_port_is_refused(tmp_path: Path) -> None:
    """Two servers never share a port by accident."""
    with started(tmp_path / "podium.db", "--listen", "127.0.0.1:0") as (_, address):
        second = f"sqlite:///{tmp_path / 'second.db'}"
        ended = refused("--listen", address, "--store", second)
        assert ended.returncode == _USAGE
        assert f"cannot listen on {address}" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert _record(address) == 1


def test_a_port_of_another_program_is_refused(tmp_path: Path) -> None:
    """So is a port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = refused("--listen", address, "--store", f"sqlite:///{tmp_path / 'podium.db'}")
    assert ended.returncode == _USAGE
    assert f"cannot listen on {address}" in ended.stderr


def test_a_second_server_on_the_store_is_refused(tmp_path: Path) -> None:
    """Two servers never share a store. The first one continues."""
    store = tmp_path / "podium.db"
    with started(store, "--listen", "127.0.0.1:0") as (_, address):
        ended = refused("--listen", "127.0.0.1:0", "--store", f"sqlite:///{store}")
        assert ended.returncode == _USAGE
        assert f"another server uses {store}" in ended.stderr
        assert _record(address) == 1


@pytest.mark.parametrize("store", ["podium.db", "sqlite:///", "redis://x", "sqlite:///:memory:"])
def test_a_store_that_cannot_be_is_refused(store: str, tmp_path: Path) -> None:
    """The error shows the form of a store's URL, or the problem of this store."""
    ended = refused("--listen", f"unix:{tmp_path / 'podium.sock'}", "--store", store)
    assert ended.returncode == _USAGE
    assert "sqlite" in ended.stderr or "local disk" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_several_addresses_are_served_at_once(tmp_path: Path) -> None:
    """--listen can be given several times."""
    path = tmp_path / "podium.sock"
    arguments = ("--listen", "127.0.0.1:0", "--listen", f"unix:{path}")
    with started(tmp_path / "podium.db", *arguments) as (_, address):
        assert _record(address) == 1
        assert _record(f"unix:{path}") == 1
