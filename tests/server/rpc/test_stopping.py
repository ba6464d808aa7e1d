"""Tests of signals: each running call gets a reason, and no client can delay the end."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import GetExperimentRequest
from podium_server.testing.calls import declared

from tests.server.rpc.attack import MAX_WINDOW, Attacker, attackers, headers, message
from tests.server.rpc.processes import started

_RECORD = "/podium.v1.RecordingService/Record"
_GET_EXPERIMENT = "/podium.v1.ResultsService/GetExperiment"
_WATCH = "/grpc.health.v1.Health/Watch"
_SECONDS = 120
_OK, _NOT_FOUND, _UNAVAILABLE = "0", "5", "14"
_DEFAULT_GRACE = 1.5


@contextmanager
def _server(
    folder: Path, *arguments: str, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    listen = ("--listen", "127.0.0.1:0", "--log-format", "json")
    with started(folder / "podium.db", *listen, *arguments, prefix=prefix) as found:
        yield found


def _wait_for_log(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    assert any(json.loads(line)["message"] == text for line in process.stderr)


def _half(attacker: Attacker) -> bytes:
    """Sends half of a Record call, and returns the other half."""
    request = RecordRequest(experiment="x", events=[declared()]).SerializeToString()
    body = message(request)
    attacker.call(headers(_RECORD), body[:10], end=False)
    return body[10:]


def _ask(attacker: Attacker) -> None:
    """Makes a call. When it is answered, the server has seen everything that was sent before."""
    request = GetExperimentRequest(experiment="none").SerializeToString()
    attacker.call(headers(_GET_EXPERIMENT), message(request))
    attacker.statuses_of(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_calls_under_way_get_a_reason(number: int, tmp_path: Path) -> None:
    """After the grace period, running calls end as SHUTTING_DOWN. The exit code is 0."""
    with (
        _server(tmp_path, "--grace", "0.2") as (process, address),
        attackers(address, 1, window=MAX_WINDOW) as (attacker,),
    ):
        for _ in range(5):
            _half(attacker)
        _ask(attacker)
        process.send_signal(number)
        assert attacker.messages_of(6)[1:] == ["the server is stopping; try again later"] * 5
        assert attacker.statuses_of(6)[1:] == [_UNAVAILABLE] * 5
        assert process.wait(_SECONDS) == 0


def test_the_grace_period_is_the_one_given(tmp_path: Path) -> None:
    """With a longer --grace, a call can still succeed after the default grace period."""
    with (
        _server(tmp_path, "--grace", str(_SECONDS)) as (process, address),
        attackers(address, 1, window=MAX_WINDOW) as (attacker,),
    ):
        rest = _half(attacker)
        _ask(attacker)
        process.terminate()
        _wait_for_log(process, "stopping")
        time.sleep(_DEFAULT_GRACE + 1)
        attacker.end(1, rest)
        assert attacker.statuses_of(2) == [_NOT_FOUND, _OK]
        assert process.wait(_SECONDS) == 0


def test_new_calls_are_rejected_in_the_grace_period(tmp_path: Path) -> None:
    """A call that arrives after the signal gets SHUTTING_DOWN. A running call can still succeed."""
    with (
        _server(tmp_path, "--grace", str(_SECONDS)) as (process, address),
        attackers(address, 2, window=MAX_WINDOW) as (first, second),
    ):
        rest = _half(first)
        _ask(first)
        process.terminate()
        _wait_for_log(process, "stopping")
        _ask(second)
        assert second.messages_of(1) == ["the server is stopping; try again later"]
        first.end(1, rest)
        assert first.statuses_of(2) == [_NOT_FOUND, _OK]
        assert process.wait(_SECONDS) == 0


def test_a_watch_that_nobody_reads_does_not_hold_the_end_up(tmp_path: Path) -> None:
    """A health watch whose client reads nothing does not delay the server's end."""
    with _server(tmp_path, "--grace", "0.2") as (process, address), attackers(address, 2) as found:
        for attacker in found:
            attacker.call(headers(_WATCH), message(b""))
            _ask(attacker)
        process.terminate()
        assert process.wait(_SECONDS) == 0


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """A second signal ends the process at once, even while a call is running."""
    with (
        _server(tmp_path, "--grace", "3600") as (process, address),
        attackers(address, 1) as (attacker,),
    ):
        _half(attacker)
        _ask(attacker)
        process.terminate()
        _wait_for_log(process, "stopping")
        process.terminate()
        assert process.wait(_SECONDS) == -signal.SIGTERM


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    """Under nohup, a server ignores SIGHUP. So the end of the terminal does not end it."""
    with (
        _server(tmp_path, prefix=("nohup",)) as (process, address),
        attackers(address, 1, window=MAX_WINDOW) as (attacker,),
    ):
        process.send_signal(signal.SIGHUP)
        _ask(attacker)
        _ask(attacker)
        assert attacker.statuses_of(2) == [_NOT_FOUND] * 2
        process.terminate()
        assert process.wait(_SECONDS) == 0
