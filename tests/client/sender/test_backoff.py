"""Tests of the waits between tries: they grow, are random, and are short again after a success."""

from podium._sender.backoff import Backoff


def test_the_bound_doubles_up_to_half_a_minute() -> None:
    """The longest possible wait doubles from 0.1 s up to 30 s, and stays there."""
    backoff = Backoff(lambda _least, most: most)
    waits = [backoff.next() for _ in range(12)]
    assert waits[:9] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6]
    assert waits[9:] == [30.0, 30.0, 30.0]
    assert all(backoff.next() == 30.0 for _ in range(2_000))


def test_each_wait_is_drawn_from_zero() -> None:
    """Each wait is drawn between 0 and its bound, so senders do not all try at the same time."""
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return least

    backoff = Backoff(uniform)
    assert [backoff.next(), backoff.next(), backoff.soon()] == [0, 0, 0.5]
    assert drawn == [(0, 0.1), (0, 0.2), (0.5, 1.5)]


def test_a_success_begins_again() -> None:
    """After a success, the bound of the first wait is short again."""
    backoff = Backoff(lambda _least, most: most)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert (backoff.failures, backoff.next()) == (0, 0.1)
