"""Tests of which failed calls a client retries, and for how long, without a server."""

import pytest
from podium._client import retries as module
from podium._client.retries import Failure, Retries, RetryPolicy
from podium.errors import (
    REASONS,
    DeadlineExceededError,
    NotFoundError,
    PodiumError,
    UnavailableError,
    error_for,
)

from tests.each import each

_AWAY = UnavailableError("away")
_TURNED_AWAY = {"OVERLOADED", "QUOTA_EXCEEDED", "SHUTTING_DOWN"}
"""The server has not begun to process calls that it rejects for these reasons."""


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each random number the greatest possible one."""

    class _Greatest:
        def uniform(self, _least: float, most: float) -> float:
            return most

    monkeypatch.setattr(module, "_RANDOM", _Greatest())


def _pause(retries: Retries, error: PodiumError, *, was_sent: bool = True) -> float | None:
    return retries.pause(Failure(error, was_sent), is_known=True)


def _is_retried(error: PodiumError, *, is_write: bool, was_sent: bool = True) -> bool:
    retries = Retries(RetryPolicy(), 60.0, is_write=is_write)
    return _pause(retries, error, was_sent=was_sent) is not None


@each(
    ("seconds", "was_sent", "is_known", "is_retried"),
    [
        (0.0, False, False, True),
        (5.0, False, False, False),
        (5.0, True, False, True),
        (5.0, False, True, True),
        (60.0, True, True, False),
    ],
)
def test_a_limit_for_the_first_connection(
    seconds: float, *, was_sent: bool, is_known: bool, is_retried: bool
) -> None:
    """`connect_seconds` limits how long a call is retried before any server could be reached.

    Once a call was sent or a server has answered, calls are retried until their deadline.
    """
    retries = Retries(RetryPolicy(connect_seconds=3.0), 60.0, is_write=False)
    retries._begin -= seconds
    pause = retries.pause(Failure(UnavailableError("away"), was_sent), is_known=is_known)
    assert (pause is not None) is is_retried


@pytest.mark.parametrize("is_write", [False, True])
def test_without_a_limit_a_write_to_an_unknown_server_is_tried_once(*, is_write: bool) -> None:
    """If the server has never answered, a read is retried, but a write is not."""
    retries = Retries(RetryPolicy(), 60.0, is_write=is_write)
    pause = retries.pause(Failure(_AWAY, was_sent=False), is_known=False)
    assert (pause is None) is is_write


@pytest.mark.parametrize("is_write", [False, True])
def test_each_reason(*, is_write: bool) -> None:
    """A call is retried if the server did not run it, or if the server asks for a retry.

    A read is also retried if the server is unavailable.
    """
    for reason in REASONS:
        error = error_for(reason, "")
        went_away = isinstance(error, UnavailableError) and not is_write
        expected = reason in _TURNED_AWAY or went_away
        assert _is_retried(error, is_write=is_write) is expected, reason
        error.retry_after = 0.5
        assert _is_retried(error, is_write=is_write), reason


@each(
    ("error", "was_sent", "read", "write"),
    [
        (_AWAY, True, True, False),
        (_AWAY, False, True, True),
        (DeadlineExceededError("late"), True, False, False),
        (NotFoundError("no", retry_after=1.0), True, False, False),
    ],
)
def test_errors_without_a_reason(
    error: PodiumError, *, was_sent: bool, read: bool, write: bool
) -> None:
    """A write that was sent and failed without a reason is not retried: it may be stored."""
    assert _is_retried(error, was_sent=was_sent, is_write=False) is read
    assert _is_retried(error, was_sent=was_sent, is_write=True) is write


def test_retries_can_be_switched_off() -> None:
    """If retries are off, a call that fails with OVERLOADED is not retried."""
    retries = Retries(RetryPolicy(is_on=False), 60.0, is_write=False)
    assert _pause(retries, error_for("OVERLOADED", "")) is None


@pytest.mark.usefixtures("longest")
def test_the_pauses_double_up_to_a_second() -> None:
    """The longest possible pause before a retry doubles with each retry, from 0.1 s up to 1 s."""
    retries = Retries(RetryPolicy(), 60.0, is_write=False)
    assert [_pause(retries, _AWAY) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_a_client_waits_as_long_as_the_server_asks() -> None:
    """If the server asks for a pause, the client waits 1 to 1.5 times as long.

    If the deadline is before the end of this pause, the client gives up.
    """
    error = error_for("OVERLOADED", "")
    error.retry_after = 2.0
    for _ in range(20):
        pause = _pause(Retries(RetryPolicy(), 60.0, is_write=False), error)
        assert pause is not None
        assert 2.0 <= pause <= 3.0
    assert _pause(Retries(RetryPolicy(), 1.9, is_write=False), error) is None


@pytest.mark.usefixtures("longest")
def test_the_other_servers_are_tried_first_each_time() -> None:
    """If a server is away, the other servers are tried one after the other without a pause.

    If all of them are away, too, there is a pause before the next round.
    """
    retries = Retries(RetryPolicy(), 60.0, is_write=False, others=2)
    pauses = [_pause(retries, _AWAY, was_sent=False) for _ in range(6)]
    assert pauses == [0.0, 0.0, 0.1, 0.0, 0.0, 0.2]
    stopping = error_for("SHUTTING_DOWN", "")
    assert _pause(Retries(RetryPolicy(), 60.0, is_write=True, others=1), stopping) == 0.0
    assert _pause(Retries(RetryPolicy(), 60.0, is_write=False, others=1), _AWAY) == 0.1
