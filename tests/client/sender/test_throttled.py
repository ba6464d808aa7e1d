"""Tests of reached limits: a sender waits as long as the server asks, and shows the reason."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import podium
import pytest
from podium import TokenLimits, events
from podium._outbox import THROTTLED, SenderState, outbox_folder
from podium._sender.backoff import Backoff
from podium._sender.circuit_breaker import CircuitBreaker
from podium._sender.sender import FOREGROUND, Sender
from podium._sender.status_file import Report
from podium._sender.verdicts import Pause
from podium.cli._outboxes import view_of
from podium_server.api import quotas, row_quotas
from podium_server.serve import tokens
from podium_server.testing.calls import declared, metrics, started

from tests.client.sender.outboxes import appended, writer
from tests.server.access.serving import serving
from tests.stores import store_url


@pytest.mark.parametrize("reason", ["OVERLOADED", "QUOTA_EXCEEDED"])
def test_the_wait_is_as_long_as_the_server_asks(reason: str) -> None:
    """The wait is at least as long as the server asks, even after a wake signal."""
    breaker = CircuitBreaker(Backoff(lambda low, _high: low))
    breaker.shut(Pause(reason, "too much", is_about_server=True, least_seconds=7.5), 100.0)
    assert breaker.due == 107.5
    breaker.hurry()
    assert (breaker.due, breaker.room(107.4, 8), breaker.room(107.5, 8)) == (107.5, 0, 1)


async def test_events_beyond_a_quota_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a quota of events is used up, events wait, and the status names the quota.

    Later all of them are delivered.
    """
    now = 1000.0
    monkeypatch.setattr(quotas, "_clock", lambda: now)
    monkeypatch.setattr(quotas, "_BURST_SECONDS", 0.0)
    store = store_url(tmp_path)
    limits = TokenLimits(events_per_second=1000)
    _, token = await asyncio.to_thread(tokens.create, store, "t", "recorder", (), None, limits)
    states: list[SenderState] = []
    whys: set[str] = set()

    def observe(sender: Sender) -> None:
        nonlocal now
        report(sender)
        state = SenderState.read(outbox)
        if state is not None and state.state == THROTTLED:
            states.append(state)
            whys.update(stream.why for stream in view_of(outbox).streams if stream.waiting)
            now += 1.0

    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=token, retry=False) as client,
    ):
        outbox = outbox_folder(tmp_path / "outbox", address)
        report = Report([outbox], address)
        appended(writer(outbox, "x", None), declared()).release()
        points = [metrics({"loss": 0.5}, step=step) for step in range(20)]
        stream = appended(writer(outbox, "x"), started("a", "A", 1), *points)
        sender = Sender([outbox], client, replace(FOREGROUND, patience_seconds=120), observe)
        await sender.run()
        stream.release()
        assert (sender.tallies[outbox].delivered, sender.tallies[outbox].rejected) == (22, 0)
    assert states
    assert all((state.next_try or 0) > (state.since or time.time()) for state in states)
    # Another possible reason is that the arm's events came before their experiment.
    [*_, why] = [why for why in whys if why.endswith("(QUOTA_EXCEEDED)")]
    assert why.startswith("the token 't' is limited to 1,000 recorded events a second; wait 0.")


async def test_events_beyond_a_quota_of_rows_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a quota of stored rows is used up, events wait, and the status names the quota.

    After a deletion, all of them are delivered.
    """
    monkeypatch.setattr(row_quotas, "_RETRY_SECONDS", 0.01)
    store = store_url(tmp_path)
    limits = TokenLimits(stored_rows=20)
    _, token = await asyncio.to_thread(tokens.create, store, "t", "recorder", (), None, limits)
    _, boss = await asyncio.to_thread(tokens.create, store, "admins", "admin", (), None)
    is_full = asyncio.Event()
    whys: set[str] = set()

    def observe(sender: Sender) -> None:
        report(sender)
        whys.update(stream.why for stream in view_of(outbox).streams if stream.waiting)
        if any(why.endswith("(QUOTA_EXCEEDED)") for why in whys):
            is_full.set()

    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=token, retry=False) as client,
        podium.AsyncClient(address, token=boss) as admin,
    ):
        arm = podium.ArmResult("a", podium.RunConfig("a"), "completed")
        rows = [podium.EvalResult("val", step=step) for step in range(10)]
        await client.record("old", [events.experiment_declared(), events.arm_recorded(arm)])
        await client.record("old", [events.eval_recorded("a", row) for row in rows])
        outbox = outbox_folder(tmp_path / "outbox", address)
        report = Report([outbox], address)
        appended(writer(outbox, "x", None), declared()).release()
        points = [metrics({"loss": 0.5}, step=step) for step in range(16)]
        stream = appended(writer(outbox, "x"), started("a", "A", 1), *points)
        sender = Sender([outbox], client, replace(FOREGROUND, patience_seconds=120), observe)
        running = asyncio.create_task(sender.run())
        await is_full.wait()
        assert sender.tallies[outbox].rejected == 0
        await admin.experiment("old").delete()
        await running
        stream.release()
        assert (sender.tallies[outbox].delivered, sender.tallies[outbox].rejected) == (18, 0)
    [why] = {why for why in whys if why.endswith("(QUOTA_EXCEEDED)")}
    assert why.startswith("the token 't' is limited to 20 stored rows; ")
