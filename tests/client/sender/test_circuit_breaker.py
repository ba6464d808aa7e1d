"""Tests of the pause of all calls while the server cannot be used. No server runs."""

import pytest
from podium._sender.backoff import Backoff
from podium._sender.circuit_breaker import CircuitBreaker
from podium._sender.verdicts import Pause

_AWAY = Pause("UNAVAILABLE", "away", is_about_server=True)


@pytest.fixture
def breaker() -> CircuitBreaker:
    """Returns a circuit breaker with the longest possible waits: 0.1 s, 0.2 s and so on."""
    return CircuitBreaker(Backoff(lambda _least, most: most))


def test_calls_that_began_before_the_pause_do_not_prolong_it(breaker: CircuitBreaker) -> None:
    """If several calls fail together, the wait doubles only once."""
    breaker.shut(_AWAY, 100.0)
    breaker.shut(_AWAY, 100.05)
    assert breaker.due == pytest.approx(100.1)
    breaker.shut(_AWAY, 100.1)
    assert breaker.due == pytest.approx(100.3)


def test_the_times_of_a_pause(breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause has the wall-clock times of its first failure and of its next retry."""
    now = 5_000.0
    monkeypatch.setattr("time.time", lambda: now)
    breaker.shut(_AWAY, 100.0)
    now = 5_060.0
    breaker.shut(_AWAY, 160.0)
    assert breaker.since_time == 5_000.0
    assert breaker.due_time - now == pytest.approx(breaker.due - 160.0)


def test_an_answer_ends_the_pause(breaker: CircuitBreaker) -> None:
    """An answer allows all calls again. The next pause is as short as the first one."""
    for now in (100.0, 200.0, 300.0):
        breaker.shut(_AWAY, now)
    breaker.open()
    assert (breaker.pause, breaker.room(300.0, 8)) == (None, 8)
    breaker.shut(_AWAY, 400.0)
    assert breaker.due == pytest.approx(400.1)


def test_a_hastened_retry_has_the_same_time_on_both_clocks(
    breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a retry is hastened, `due` and `due_time` change by the same amount.

    `due` is a time of the monotonic clock, and `due_time` one of the wall clock.
    """
    monkeypatch.setattr("time.time", lambda: 5_000.0)
    for now in range(100, 200, 10):
        breaker.shut(_AWAY, float(now * 10))
    before = breaker.due, breaker.due_time
    breaker.hurry()
    assert breaker.due < before[0]
    assert before[0] - breaker.due == pytest.approx(before[1] - breaker.due_time)
