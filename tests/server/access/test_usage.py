"""Tests of the limits of a token and of all callers together, without a server."""

import podium
import pytest
from podium import TokenLimits
from podium_server.api.quotas import Usage

from tests.server.access.conftest import Clock


async def test_a_watch_is_a_call_until_it_watches() -> None:
    """While a watch runs, it counts for the limit of watches, not for the limit of calls.

    A watch that is rejected does not keep a place.
    """
    usage = Usage(TokenLimits(calls=1, watches=1), "t")
    for _ in range(3):
        usage.enter()
        with pytest.raises(podium.ResourceExhaustedError, match="1 calls at a time"):
            usage.enter()
        with usage.watching():
            usage.enter()
            with (
                pytest.raises(podium.ResourceExhaustedError, match="1 watches at a time"),
                usage.watching(),
            ):
                pass
            usage.leave()
        usage.leave()


async def test_a_rejected_call_takes_nothing_from_another_limit(clock: Clock) -> None:
    """A call that its token's limit rejects uses up neither this limit nor the total one."""
    total = Usage(TokenLimits(calls_per_second=100, events_per_second=100))
    usage = Usage(TokenLimits(calls_per_second=1, events_per_second=1), "t", total)
    for _ in range(2):
        usage.enter()
        usage.leave()
    usage.count_recorded(2, 0)
    before = [total._rates[name][0].full_at for name in ("calls_per_second", "events_per_second")]
    for _ in range(3):
        with pytest.raises(podium.ResourceExhaustedError):
            usage.enter()
        with pytest.raises(podium.ResourceExhaustedError):
            usage.count_recorded(1, 0)
    assert before == [
        total._rates[name][0].full_at for name in ("calls_per_second", "events_per_second")
    ]
    clock.now += 1.0
    usage.enter()
    usage.count_recorded(1, 0)


@pytest.mark.usefixtures("clock")
def test_the_lower_limit_of_a_token_and_of_all() -> None:
    """If a token and the server both have a limit, the exceeded one rejects the call."""
    total = Usage(TokenLimits(calls_per_second=3, events_per_second=3))
    slow, quick = (
        Usage(TokenLimits(calls_per_second=number, events_per_second=number), name, total)
        for number, name in ((1, "slow"), (9, "quick"))
    )
    for _ in range(2):
        slow.enter()
        slow.count_recorded(1, 0)
    for use in (slow.enter, lambda: slow.count_recorded(1, 0)):
        with pytest.raises(podium.ResourceExhaustedError, match="the token 'slow' is limited to 1"):
            use()
    for _ in range(2):
        quick.enter()
        quick.count_recorded(1, 0)
    for use in (quick.enter, lambda: quick.count_recorded(1, 0)):
        with pytest.raises(podium.ResourceExhaustedError, match=r"at most 3 .* in total"):
            use()
