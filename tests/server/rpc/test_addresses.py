"""Tests of the addresses that a server listens on, and of those that it rejects."""

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
def test_an_address_that_others_can_reach_needs_insecure(address: str, tmp_path: Path) -> None:
    """Without --insecure, a server does not listen on an address that others can reach.

    The server does not start, logs why, and creates no store.
    """
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
    """A name is reachable if other machines can reach one of its addresses."""

    def resolve(host: str, _port: object, **_kind: object) -> list[object]:
        assert host == "box"
        return [(None, None, None, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert is_reachable("box:0") is reachable


def test_insecure_serves_others_and_warns(tmp_path: Path) -> None:
    """With --insecure, the server listens on an address that others can reach.

    The log has a warning about that.
    """
    arguments = ("--listen", "0.0.0.0:0", "--insecure")
    with started(tmp_path / "podium.db", *arguments) as (process, address):
        assert _record(address.replace("0.0.0.0", "127.0.0.1")) == 1  # noqa: S104 - compared only
        process.terminate()
        _, log = process.communicate(timeout=120)
    assert "WARNING" in log
    assert "other machines can reach 0.0.0.0:0" in log


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:port", ":0", "127.0.0.1:"])
def test_an_invalid_address(address: str, tmp_path: Path) -> None:
    """If --listen is not an address, the server does not start. The error shows a valid form."""
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
    """If the server cannot listen on an address, the log says why.

    gRPC logs no error of its own.
    """
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
def test_an_invalid_limit_or_grace_period(setting: str, tmp_path: Path) -> None:
    """An invalid limit or grace period is rejected, and the error names the valid range."""
    ended = refused(setting, "--store", f"sqlite:///{tmp_path / 'podium.db'}", "--listen", "x")
    assert ended.returncode == _USAGE
    assert " from " in ended.stderr or ", 0 or more" in ended.stderr


def test_a_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    """A Unix socket has mode 0600, and calls over it are answered."""
    path = tmp_path / "podium.sock"
    with started(tmp_path / "podium.db", "--listen", f"unix:{path}") as (_, address):
        assert address == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert _record(address) == 1


def test_a_second_server_on_the_socket_does_not_start(tmp_path: Path) -> None:
    """A second server on the same socket does not start. The first one continues to answer."""
    path = tmp_path / "podium.sock"
    with started(tmp_path / "podium.db", "--listen", f"unix:{path}") as (_, address):
        second = f"sqlite:///{tmp_path / 'second.db'}"
        ended = refused("--listen", f"unix:{path}", "--store", second)
        assert ended.returncode == _USAGE
        assert "another server" in ended.stderr
        assert _record(address) == 1


def test_a_socket_that_a_dead_server_left_is_taken_over(tmp_path: Path) -> None:
    """After a server was killed, the next one can listen on the same Unix socket."""
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
    """If a file has the path of the socket, the server does not start or overwrite it."""
    path = tmp_path / "podium.sock"
    path.write_text("precious")
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    ended = refused("--listen", f"unix:{path}", "--store", store)
    assert ended.returncode == _USAGE
    assert path.read_text() == "precious"


def test_a_second_server_on_the_port_does_not_start(tmp_path: Path) -> None:
    """A second server on the same port does not start. The first one continues to answer."""
    with started(tmp_path / "podium.db", "--listen", "127.0.0.1:0") as (_, address):
        second = f"sqlite:///{tmp_path / 'second.db'}"
        ended = refused("--listen", address, "--store", second)
        assert ended.returncode == _USAGE
        assert f"cannot listen on {address}" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert _record(address) == 1


def test_a_server_does_not_start_on_a_port_of_another_program(tmp_path: Path) -> None:
    """A server does not start on a port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = refused("--listen", address, "--store", f"sqlite:///{tmp_path / 'podium.db'}")
    assert ended.returncode == _USAGE
    assert f"cannot listen on {address}" in ended.stderr


def test_a_second_server_on_the_store_does_not_start(tmp_path: Path) -> None:
    """A second server on the same SQLite file does not start. The first one still answers."""
    store = tmp_path / "podium.db"
    with started(store, "--listen", "127.0.0.1:0") as (_, address):
        ended = refused("--listen", "127.0.0.1:0", "--store", f"sqlite:///{store}")
        assert ended.returncode == _USAGE
        assert f"another server uses {store}" in ended.stderr
        assert _record(address) == 1


@pytest.mark.parametrize("store", ["podium.db", "sqlite:///", "redis://x", "sqlite:///:memory:"])
def test_an_invalid_url_of_a_store(store: str, tmp_path: Path) -> None:
    """An invalid URL of a store is rejected. The error shows the form, or names the problem."""
    ended = refused("--listen", f"unix:{tmp_path / 'podium.sock'}", "--store", store)
    assert ended.returncode == _USAGE
    assert "sqlite" in ended.stderr or "local disk" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_several_addresses_are_served_at_once(tmp_path: Path) -> None:
    """If --listen is given twice, the server answers on both addresses."""
    path = tmp_path / "podium.sock"
    arguments = ("--listen", "127.0.0.1:0", "--listen", f"unix:{path}")
    with started(tmp_path / "podium.db", *arguments) as (_, address):
        assert _record(address) == 1
        assert _record(f"unix:{path}") == 1
