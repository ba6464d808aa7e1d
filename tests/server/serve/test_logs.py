"""The log of the server, and the records that it leaves out."""

import logging
from collections.abc import Iterator

import grpc.aio
import pytest
from podium_server.serve.logs import set_up_logs


@pytest.fixture
def _own_logs() -> Iterator[None]:
    """Gives the logging of this process back to pytest after the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _log_errors() -> None:
    """Logs what gRPC does when a response cannot be sent, and another error."""
    log = logging.getLogger("grpc._cython.cygrpc")
    failed = grpc.aio.InternalError('Failed "execute_batch"')
    log.error("raised in core by servicer method [%s]", "/x/Eval", exc_info=failed)
    log.error("the port is taken")


@pytest.mark.usefixtures("_own_logs")
def test_a_client_that_is_gone_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The error of gRPC about a vanished client is not logged; its other errors are."""
    set_up_logs("text", "info")
    _log_errors()
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(" ERROR   the port is taken")


@pytest.mark.usefixtures("_own_logs")
def test_a_client_that_is_gone_is_one_debug_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With --log-level debug a vanished client is one line, without a traceback."""
    set_up_logs("text", "debug")
    _log_errors()
    first, _ = capsys.readouterr().err.splitlines()
    assert first.endswith(" DEBUG   a response was not sent, because its client has disconnected")
