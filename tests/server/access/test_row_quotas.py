"""Tests of the limits of stored rows, for each token and in total."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import podium
import pytest
from podium import TokenLimits, events
from podium.errors import PodiumError
from podium_server.api import row_quotas
from podium_server.api.quotas import Quotas
from podium_server.api.row_quotas import RowClaim, RowQuota
from podium_server.serve import tokens
from podium_server.store.tokens import Role, TokenRow

from tests.server.access.serving import serving
from tests.stores import store_url

pytest.importorskip("connectrpc")
_SECONDS = 60.0


class Served(NamedTuple):
    """A server, and the clients of two teams and of an administrator."""

    url: str
    nlp: podium.AsyncClient
    vision: podium.AsyncClient
    admin: podium.AsyncClient
    admin_token: str


@asynccontextmanager
async def _served(folder: Path, most: int, **settings: Any) -> AsyncIterator[Served]:
    """Runs a server for the teams nlp and vision. The token of nlp may store `most` rows."""

    def create(name: str, role: str, *prefixes: str, limits: TokenLimits | None = None) -> str:
        return tokens.create(store_url(folder), name, role, prefixes, None, limits)[1]

    limits = TokenLimits(stored_rows=most)
    secrets = [
        await asyncio.to_thread(create, "nlp-team", "recorder", "nlp", limits=limits),
        await asyncio.to_thread(create, "vision-team", "recorder", "vision"),
        await asyncio.to_thread(create, "admins", "admin"),
    ]
    async with (
        serving(folder, auth="tokens", http=("127.0.0.1:0",), **settings) as [address, url],
        AsyncExitStack() as stack,
    ):
        nlp, vision, admin = (podium.AsyncClient(address, token=secret) for secret in secrets)
        for client in (nlp, vision, admin):
            await stack.enter_async_context(client)
        yield Served(url, nlp, vision, admin, secrets[-1])


async def _stored(client: podium.AsyncClient) -> int | None:
    token = await client.whoami()
    assert token is not None
    return token.stored_rows


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Calls `holds` again and again until it returns true. Fails after a time limit."""
    async with asyncio.timeout(_SECONDS):
        while not await holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


def _row(step: int) -> Any:
    return events.eval_recorded("a", podium.EvalResult("val", step=step))


async def _fails(call: Awaitable[Any]) -> PodiumError:
    with pytest.raises(podium.ResourceExhaustedError) as caught:
        await call
    return caught.value


async def test_a_token_has_room_for_its_rows(tmp_path: Path) -> None:
    """Calls that would exceed the token's limit of rows are rejected, even concurrent ones.

    Calls that add no rows, and calls of another team, are accepted. Deleted rows make room. After a
    restart the limit still applies.
    """
    async with _served(tmp_path, most=8) as served:
        nlp, vision = served.nlp, served.vision
        await nlp.record("nlp/x", [events.experiment_declared()])
        arm = podium.ArmResult("a", podium.RunConfig("a"), "running")
        await nlp.record("nlp/x", [events.arm_recorded(arm), _row(1), _row(2), _row(3)])
        calls = (nlp.record("nlp/x", [_row(step)]) for step in range(10, 22))
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [error for error in results if isinstance(error, PodiumError)]
        assert (len(results), len(refused)) == (12, 9)
        assert {(error.reason, error.retry_after) for error in refused} == {("QUOTA_EXCEEDED", 60)}
        assert refused[0].metadata == {"limit": "stored_rows"}
        assert refused[0].message == (
            "the token 'nlp-team' is limited to 8 stored rows in nlp; 8 are stored, and this call "
            "adds 1; nothing was changed. Delete results, or ask an administrator for a token with "
            "a higher stored_rows limit"
        )
        assert "adds 2;" in (await _fails(nlp.record("nlp/x", [_row(1), _row(8), _row(9)]))).message
        assert "adds 1;" in (await _fails(nlp.experiment("nlp/y").declare())).message
        replaced = events.eval_recorded("a", podium.EvalResult("val", metrics={"acc": 1.0}, step=1))
        await nlp.record("nlp/x", [replaced])
        await nlp.record("nlp/x", [events.arm_finished("a", "completed")])
        await vision.record("vision/x", [events.experiment_declared()])
    async with _served(tmp_path, most=8) as served:
        await _fails(served.nlp.record("nlp/x", [_row(30)]))
        assert await _stored(served.nlp) == 8
        assert await _stored(served.vision) == 1
        assert await _stored(served.admin) == 9
        await served.admin.arm("nlp/x", "a").delete()

        async def is_stored() -> bool:
            try:
                await served.nlp.experiment("nlp/y").declare()
            except podium.ResourceExhaustedError:
                return False
            return True

        await _until(is_stored)
        listed = {token.name: token.stored_rows async for token in served.admin.tokens()}
        assert listed == {"nlp-team": 2, "vision-team": 1, "admins": 3}


async def test_all_tokens_share_the_limit_in_total(tmp_path: Path) -> None:
    """The error of the total limit has no numbers, which would show what another team stores."""
    total = TokenLimits(stored_rows=3)
    async with _served(tmp_path, most=100, total_limits=total) as served:
        for number in range(3):
            await served.vision.experiment(f"vision/{number}").declare()
        error = await _fails(served.nlp.experiment("nlp/x").declare())
        assert (error.reason, error.retry_after, error.metadata) == ("STORAGE_FULL", 60, {})
        assert not any(letter.isdigit() for letter in error.message)
        assert await _stored(served.nlp) == 0


async def test_metrics_show_the_rows_and_the_limits(tmp_path: Path) -> None:
    """`/metrics` has the rows in total, and the rows and limit of a limited token."""
    async with _served(tmp_path, most=5) as served:
        await served.nlp.experiment("nlp/x").declare()
        await served.vision.experiment("vision/x").declare()
        token = await served.nlp.whoami()
        assert token is not None
        label = f'{{id="{token.id}",token="nlp-team"}}'
        expected = {
            "podium_stored_rows 2",
            f"podium_token_stored_rows{label} 1",
            f"podium_token_stored_rows_limit{label} 5",
        }

        async def are_shown() -> bool:
            page = await asyncio.to_thread(_metrics, served.url, served.admin_token)
            return expected <= set(page)

        await _until(are_shown)


def _metrics(url: str, token: str) -> list[str]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
    try:
        connection.request("GET", "/metrics", headers={"authorization": f"Bearer {token}"})
        return connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()


class _Stored:
    """A number of stored rows, and a quota that counts them."""

    def __init__(self, limit: int | None, name: str = "t") -> None:
        self.rows = 0
        quotas = Quotas(TokenLimits(stored_rows=limit), None, self._count)
        self.quotas, self.token = quotas, TokenRow("id", name, b"", Role.RECORDER, ("p",), 0)
        [self.quota] = quotas.of(self.token).row_quotas

    async def _count(self, _prefixes: Sequence[str]) -> int:
        return self.rows

    async def add(self, *tries: int) -> None:
        """Adds rows in a transaction that is tried several times. Only the last try is stored.

        Args:
            tries: The number of rows that each try adds.
        """
        claim = RowClaim([self.quota])

        async def transact() -> None:
            for rows in tries:
                claim.take(rows)
            self.rows += tries[-1]

        await claim.hold(transact)


async def test_rows_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a transaction is tried several times, the quota counts only the rows of the last try."""
    monkeypatch.setattr(row_quotas, "_FRESH_SECONDS", 0.0)
    stored = _Stored(10)
    for tries in ((3,), (5, 2), (4, 1, 4)):
        await stored.add(*tries)
        await _until(stored.quota.count_again)
        assert await stored.quota.stored() == stored.rows
    assert stored.rows == 9
    await stored.add(1)
    with pytest.raises(podium.ResourceExhaustedError):
        await stored.add(1)
    await stored.add(0)
    await stored.add(-2)
    assert await stored.quota.stored() == 8


async def test_a_quota_that_is_exceeded_accepts_what_removes_rows() -> None:
    """If more rows are stored than the limit allows, calls that add no rows are accepted.

    More rows than allowed can be stored after the limit was lowered.
    """
    stored = _Stored(5)
    stored.rows = 9
    await stored.add(0)
    await stored.add(-1)
    with pytest.raises(podium.ResourceExhaustedError):
        await stored.add(1)


async def test_labels_of_metrics_are_escaped() -> None:
    """Quotes and backslashes in a token's name are escaped in the labels of metrics."""
    stored = _Stored(7, 'a"b\\c')
    await stored.add(2)
    label = '{id="id",token="a\\"b\\\\c"}'
    assert await stored.quotas.row_gauges() == {
        "stored_rows": 2,
        f"token_stored_rows{label}": 2,
        f"token_stored_rows_limit{label}": 7,
    }


async def test_rows_are_counted_again_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota counts the store's rows again after two seconds, so rows of other servers count."""
    now = [100.0]
    monkeypatch.setattr(row_quotas, "_clock", lambda: now[0])
    stored = _Stored(10)
    assert await stored.quota.stored() == 0
    stored.rows = 10
    now[0] += 1.9
    assert await stored.quota.stored() == 0
    now[0] += 0.2
    with pytest.raises(podium.ResourceExhaustedError):
        await stored.add(1)
    assert await stored.quota.stored() == 10


async def test_deleted_rows_make_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full quota counts its rows again, so a call is accepted as soon as rows are deleted."""
    now = [100.0]
    monkeypatch.setattr(row_quotas, "_clock", lambda: now[0])
    stored = _Stored(10)
    stored.rows = 10
    with pytest.raises(podium.ResourceExhaustedError):
        await stored.add(1)
    stored.rows = 9
    now[0] += 0.5
    await stored.add(1)


@pytest.mark.parametrize("begins_first", [True, False])
async def test_rows_that_are_added_during_a_count(*, begins_first: bool) -> None:
    """If a call adds rows during a count of the store's rows, the result includes them once.

    This holds even if the call was also tried before the count began.
    """
    goes_on = asyncio.Event()

    async def count(_prefixes: Sequence[str]) -> int:
        await goes_on.wait()
        return 0

    quota = RowQuota(count)
    claim = RowClaim([quota])
    if begins_first:
        claim.take(3)
    counting = asyncio.ensure_future(quota.count_again())
    await asyncio.sleep(0)
    claim.take(3)
    goes_on.set()
    await counting
    assert await quota.stored() == 3


@pytest.mark.parametrize(("took", "pause"), [(0.01, 0.2), (10.0, 1.0)])
async def test_counts_leave_time_for_other_work(
    took: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a count of rows, the next one waits 20 times as long as the count took.

    The wait is at most one second.
    """
    now = [100.0]
    monkeypatch.setattr(row_quotas, "_clock", lambda: now[0])

    async def count(_prefixes: Sequence[str]) -> int:
        now[0] += took
        return 0

    quota = RowQuota(count)
    assert await quota.count_again()
    now[0] += pause - 0.01
    assert not await quota.count_again()
    now[0] += 0.02
    assert await quota.count_again()
