"""Tests of the server's log, and of the records that it leaves out."""

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest
from podium_server.serve.logs import set_up_logs


@pytest.fixture
def _own_logs() -> Iterator[None]:
    """Restores the logging of this process, which pytest uses, after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _log_errors() -> None:
    """Logs gRPC's error about a response that cannot be sent, and another gRPC error."""
    log = logging.getLogger("grpc._cython.cygrpc")
    failed = grpc.aio.InternalError('Failed "execute_batch"')
    log.error("raised in core by servicer method [%s]", "/x/Eval", exc_info=failed)
    log.error("the port is taken")


@pytest.mark.usefixtures("_own_logs")
def test_the_error_about_a_disconnected_client_is_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The gRPC error about a disconnected client is not logged. Other gRPC errors are."""
    set_up_logs("text", "info")
    _log_errors()
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" ERROR   the port is taken")


@pytest.mark.usefixtures("_own_logs")
def test_a_disconnected_client_is_one_debug_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With the log level debug, a disconnected client causes one line, without a traceback."""
    set_up_logs("text", "debug")
    _log_errors()
    first, _ = capsys.readouterr().err.splitlines()
    assert first.endswith(" DEBUG   a response was not sent, because its client has disconnected")


def _record(name: str, message: str, *, created: float, **fields: Any) -> logging.LogRecord:
    """Returns a record of the logger `name`. `created` is its time in seconds since 1970."""
    values = {"levelno": logging.ERROR, "levelname": "ERROR", "msg": message, "created": created}
    return logging.makeLogRecord({"name": name, **values, **fields})


def _handle(*records: logging.LogRecord) -> None:
    for record in records:
        logging.getLogger(record.name).handle(record)


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Moves this process to a time zone nine hours before UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XYZ9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_own_logs", "_elsewhere")
def test_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A JSON line of the log has the time in UTC, the level, logger, message and any error."""
    set_up_logs("json", "info")
    error = ValueError("why")
    failed = {"exc_info": (ValueError, error, None)}
    _handle(
        _record("podium_server.x", "the %s failed", created=0.5, args=("café",)),
        _record("podium_server.x", "again", created=60.0, **failed),
    )
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "error",
        "logger": "podium_server.x",
        "message": "the café failed",
    }
    assert second.pop("error") == "ValueError: why"
    assert second == first | {"time": "1970-01-01T00:01:00.000+00:00", "message": "again"}


@pytest.mark.usefixtures("_own_logs")
def test_libraries_log_ten_errors_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """The log has at most ten errors in a minute from all libraries together.

    The tenth says that more are left out. All of Podium's own errors are logged.
    """
    set_up_logs("text", "info")
    flood = [_record("grpc._x", "no. %d", created=61.0, args=(n,)) for n in range(1, 20)]
    own = _record("podium_server", "own", created=61.0)
    _handle(*flood, own, *(_record("asyncio", "later", created=120.0) for _ in range(2)))
    found = [line.split("ERROR   ")[1] for line in capsys.readouterr().err.splitlines()]
    assert found[:9] == [f"no. {n}" for n in range(1, 10)]
    assert found[9].startswith("no. 10 (further errors of libraries are not logged")
    assert found[10:] == ["own", "later", "later"]


@pytest.mark.usefixtures("_own_logs")
def test_libraries_log_only_problems(capsys: pytest.CaptureFixture[str]) -> None:
    """The log level applies to Podium's loggers. Libraries log neither `debug` nor `info`."""
    set_up_logs("text", "debug")
    for name in ("podium_server", "asyncio", "grpc", "opentelemetry"):
        logging.getLogger(name).debug("at work")
        logging.getLogger(name).info("at work")
    assert len(capsys.readouterr().err.splitlines()) == 2
    set_up_logs("text", "warning")
    logging.getLogger("podium_server").info("quiet")
    assert "quiet" not in capsys.readouterr().err
