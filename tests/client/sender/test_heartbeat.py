"""Tests that the server hears of an arm while its training process lives, even without results."""

import asyncio
from datetime import datetime
from pathlib import Path

import podium
import pytest
from podium._sender import BACKGROUND, Sender, heartbeat
from podium.events import arm_finished
from podium_server.testing import RunningServer
from podium_server.testing.calls import started

from tests.client.sender.outboxes import appended, writer

_SECONDS = 120


async def _arm(
    client: podium.AsyncClient, *, heard_after: datetime | None = None
) -> podium.ArmResult:
    """Returns the arm, once it exists and has been heard of after a time."""
    while True:
        try:
            arm = await client.arm("x", "a").get()
        except podium.NotFoundError:
            arm = None
        if arm and arm.last_heard and (not heard_after or arm.last_heard > heard_after):
            return arm
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_quiet_process_changes_last_heard(
    outbox: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the process of a running arm lives, `last_heard` changes and the revision does not."""
    monkeypatch.setattr(heartbeat, "_SECONDS", 0.05)
    async with asyncio.timeout(_SECONDS), podium.AsyncClient(server.address) as client:
        await client.experiment("x").declare()
        stream = writer(outbox, "x", "a", attempt_id="A", attempt_order=1)
        appended(stream, started("a", "A", 1))
        sender = asyncio.ensure_future(Sender([outbox], client, BACKGROUND).run())
        arm = await _arm(client)
        later = await _arm(client, heard_after=arm.last_heard)
        assert later.revision == arm.revision
        sender.cancel()
        stream.release()


@pytest.mark.parametrize("order", [1, None])
def test_only_a_running_attempt_has_a_heartbeat(
    order: int | None, outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluator sends no heartbeat. An attempt sends heartbeats from its start to its end."""
    monkeypatch.setattr(heartbeat, "_SECONDS", 0.0)
    stream = writer(outbox, "x", "a", attempt_id="A", attempt_order=order)
    beat = heartbeat.Heartbeat(stream.info)
    assert beat.is_due() is (order is not None)
    beat.note_delivered([arm_finished("a", attempt_id="A")])
    assert not beat.is_due()
    beat.note_delivered([started("a", "B", 2)])
    assert beat.is_due()
    beat.note_delivered([arm_finished("a", attempt_id="A")])
    assert beat.is_due()  # attempt B still runs
    stream.release()
