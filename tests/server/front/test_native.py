"""Tests of the native front's limits, and of the events by which it informs Python."""

from collections import Counter

import pytest

from tests.server.front.harness import CLOSED, DONE, FULL, NEW, PATH, SENT, WRITABLE, served
from tests.server.rpc.attack import (
    MAX_WINDOW,
    Attacker,
    attackers,
    headers,
    message,
    raw_frame,
    wait_until,
)

_RESET, _WINDOW_UPDATE = 3, 8
_CANCEL = (8).to_bytes(4, "big")


def _end(attacker: Attacker) -> None:
    """Waits until the server has closed the connection."""
    wait_until(lambda: not attacker.is_open(0.05))


def test_the_queue_towards_python_is_bounded() -> None:
    """Calls for which the queue has no room get the error that Python has configured.

    A connection may take half of the free places. It always has room for eight calls, whatever the
    other connections do.
    """
    with (
        served(waiting=20) as server,
        attackers(server.address, 2, window=MAX_WINDOW) as (one, other),
    ):
        one.calls([(headers(PATH), message(b"x"))] * 13)
        assert one.messages_of(3) == ["no room"] * 3
        other.calls([(headers(PATH), message(b"x"))] * 9)
        assert other.messages_of(1) == ["no room"]
        assert server.native.refused() == 4
        calls = [server.event(NEW)[1] for _ in range(18)]
        for call in calls:
            call.answer(b"y")
        assert Counter(one.statuses_of(13)) == {"0": 10, "8": 3}
        assert Counter(other.statuses_of(9)) == {"0": 8, "8": 1}


def test_connections_take_turns() -> None:
    """A connection with one call does not wait for all 50 calls of a busy connection.

    Its call is one of the next three that Python takes.
    """
    with served() as server, attackers(server.address, 2, window=MAX_WINDOW) as (busy, other):
        busy.calls([(headers(PATH), message(b"busy"))] * 50)
        first = [server.event(NEW)[-1]]
        other.call(headers(PATH), message(b"other"))
        wait_until(lambda: server.native.waiting() == 50)
        taken = first + [server.event(NEW)[-1] for _ in range(3)]
        assert b"other" in taken


def test_quick_calls_wait_for_few_slow_calls() -> None:
    """Python first takes a call of the quick connection, whose previous call took little time.

    Calls of new connections, and of the slow one, whose previous call took long, arrived earlier.
    The slow connection does not wait for all 40 calls of the quick one. Of the calls 21 to 40 that
    Python takes, at least one is of the slow connection.
    """
    with (
        served() as server,
        attackers(server.address, 12, window=MAX_WINDOW) as (quick, slow, *fresh),
    ):
        for one, server.spent in ((slow, 10_000_000), (quick, 10_000)):
            one.call(headers(PATH), message(b"first"))
            server.event(NEW)[1].answer(b"")
            server.event(DONE)
        for one, name in ((slow, b"slow"), *((each, b"fresh") for each in fresh)):
            one.calls([(headers(PATH), message(name))] * 2)
        wait_until(lambda: server.native.waiting() == 22)
        quick.calls([(headers(PATH), message(b"quick"))] * 40)
        wait_until(lambda: server.native.waiting() == 62)
        server.spent = 400_000
        order = [server.event(NEW)[-1] for _ in range(62)]
    assert order[0] == b"quick"
    assert b"slow" in order[20:40]


def test_python_never_sees_a_call_that_was_cancelled_while_it_waited() -> None:
    """Python gets no event for a call that is cancelled while it waits in the queue."""
    with served() as server, attackers(server.address, 1, window=MAX_WINDOW) as (one,):
        one.call(headers(PATH), message(b"cancelled"))
        wait_until(lambda: server.native.waiting() == 1)
        one.send(raw_frame(_RESET, 1, _CANCEL))
        one.call(headers(PATH), message(b"last"))
        wait_until(lambda: server.native.waiting() == 2)
        number, call, *_, raw = server.event(NEW)
        assert raw == b"last"
        call.answer(b"")
        assert server.event(DONE) == (number, True)


def test_metadata_that_cannot_be_sent_is_an_error() -> None:
    """An invalid key or value of a trailer raises ValueError.

    After that, the call can still be answered.
    """
    with served() as server, attackers(server.address, 1, window=MAX_WINDOW) as (one,):
        one.call(headers(PATH), message(b"x"))
        call = server.event(NEW)[1]
        for key, value in (("no key", b"v"), ("key", b"a\nb")):
            with pytest.raises(ValueError, match="the metadata has an invalid key or value"):
                call.fail(13, "text", [(key, value)])
        call.fail(13, "text", [("key-bin", b"a\nb")])
        assert one.statuses_of(1) == ["13"]


def test_write_returns_full_if_the_client_does_not_read() -> None:
    """If the client does not read, `write` returns FULL.

    When the client reads again, Python gets a WRITABLE event.
    """
    with served() as server, attackers(server.address, 1, window=0) as (one,):
        one.call(headers(PATH), message(b"x"))
        number, call, *_ = server.event(NEW)
        states = [call.write(b"m" * 40_000) for _ in range(3)]
        assert states == [SENT, FULL, FULL]
        one.send(raw_frame(_WINDOW_UPDATE, 1, (100_000).to_bytes(4, "big")))
        assert server.event(WRITABLE) == (number, False)
        assert call.write(b"m" * 40_000) == SENT
        call.finish()
        assert call.write(b"late") == CLOSED
        assert one.statuses_of(1) == ["0"]
        assert server.event(DONE) == (number, True)


def test_a_write_after_a_reset_returns_closed() -> None:
    """If the client resets a call, Python gets a DONE event, and later writes return CLOSED."""
    with served() as server, attackers(server.address, 1) as (one,):
        one.call(headers(PATH), message(b"x"))
        number, call, *_ = server.event(NEW)
        assert call.write(b"m") == SENT
        one.send(raw_frame(_RESET, 1, _CANCEL))
        assert server.event(DONE) == (number, False)
        assert call.write(b"m") == CLOSED
        call.answer(b"late")


def test_calls_that_are_cancelled_at_once_end_no_connection() -> None:
    """A client can cancel 1,000 calls at once, and then call again on its connection."""
    with served() as server, attackers(server.address, 1, window=MAX_WINDOW) as (one,):
        one.calls_and_resets(headers(PATH), 1_000)
        one.call(headers(PATH), message(b"last"))
        while True:
            kind, _, *content = server.next()
            if kind == NEW and content[3] == b"last":
                content[0].answer(b"")
                break
        wait_until(lambda: one.is_open(0.05) and "0" in one.statuses())


def test_a_deadline_ends_a_call_that_stalls() -> None:
    """At the client's deadline a call ends, even if its request is incomplete.

    The same holds for a call whose response the client does not read.
    """
    late = headers(PATH, {"grpc-timeout": "300m"})
    with served() as server, attackers(server.address, 2) as (half, deaf):
        half.call(late, message(b"x", declared=10), end=False)
        number, call, *_, raw = server.event(NEW)
        assert raw is None
        call.read()
        assert server.event(DONE) == (number, False)
        deaf.call(late, message(b"x"))
        number, call, *_ = server.event(NEW)
        call.answer(b"y" * 1_000)
        assert server.event(DONE) == (number, False)
        assert half.statuses_of(1) == deaf.statuses_of(1) == ["4"]


@pytest.mark.parametrize("limits", [{"idle": 0.5}, {"age": 0.5}], ids=["idle", "age"])
def test_an_unused_and_an_old_connection_are_closed(limits: dict[str, float]) -> None:
    """A connection without calls is closed after `idle` seconds, or at an age of `age` seconds."""
    with served(**limits, grace=0.5) as server, attackers(server.address, 1) as (one,):
        _end(one)


def test_the_calls_of_an_old_connection_may_end() -> None:
    """A connection that is too old is closed only after its calls are answered.

    Calls that are not answered within the grace period end without an answer.
    """
    with served(age=0.5) as server, attackers(server.address, 1, window=MAX_WINDOW) as (one,):
        one.call(headers(PATH), message(b"x"))
        call = server.event(NEW)[1]
        wait_until(lambda: one.is_open(0.05) and one.is_going())
        call.answer(b"y")
        assert one.statuses_of(1) == ["0"]
    with served(age=0.5, grace=0.5) as server, attackers(server.address, 1) as (one,):
        one.call(headers(PATH), message(b"x"))
        number, *_ = server.event(NEW)
        assert server.event(DONE) == (number, False)
        _end(one)


def test_a_client_that_answers_no_ping_is_disconnected() -> None:
    """A silent connection is pinged, and closed if the client does not answer the ping."""
    with (
        served(ping=0.5, ping_timeout=0.5) as server,
        attackers(server.address, 1, window=MAX_WINDOW) as (one,),
    ):
        _end(one)


def test_a_connection_without_settings_is_closed() -> None:
    """A client that does not acknowledge the HTTP/2 settings in time is disconnected.

    Other connections stay open.
    """
    with (
        served(handshake=0.5) as server,
        attackers(server.address, 1, acknowledge=False) as (silent,),
        attackers(server.address, 1) as (other,),
    ):
        _end(silent)
        assert other.is_open()


def test_connections_are_counted() -> None:
    """A connection beyond the limit is closed at once. When one ends, a new one is accepted."""
    with served(connections=1) as server:
        with attackers(server.address, 1) as (first,):
            first.setting(3)
            with attackers(server.address, 1, timeout=1.0) as (second,):
                _end(second)
            assert first.is_open()

        def has_room() -> bool:
            with attackers(server.address, 1, timeout=1.0) as (third,):
                return third.is_open(0.2)

        wait_until(has_room)
