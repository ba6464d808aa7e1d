"""For how long a client retries a call; without a server, and with a time at will."""

import pytest
from podium._client.retries import Failure, Retries, RetryPolicy
from podium.errors import UnavailableError


@pytest.mark.parametrize(
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
    """It ends the search for a server that never answered; others have until the deadline."""
    retries = Retries(RetryPolicy(connect_seconds=3.0), 60.0, is_write=False)
    retries._begin -= seconds
    pause = retries.pause(Failure(UnavailableError("away"), was_sent), is_known=is_known)
    assert (pause is not None) is is_retried
