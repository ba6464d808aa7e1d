"""Tests that senders report the age of their oldest waiting event, and `/metrics` shows it."""

import asyncio
import time
from pathlib import Path
from urllib.request import urlopen

import podium
import pytest
from podium._outbox import outbox_folder
from podium._sender.sender import FOREGROUND, Sender
from podium_server.rpc import telemetry
from podium_server.rpc.telemetry import Telemetry
from podium_server.testing.calls import declared

from tests.client.sender.outboxes import appended, writer
from tests.server.access.serving import serving

pytest.importorskip("connectrpc")


async def test_the_page_shows_the_oldest_waiting_event(tmp_path: Path) -> None:
    """If a sender delivers an event that is an hour old, `/metrics` shows this age.

    Calls of other clients report no age.
    """
    late = declared()
    late.event_time.FromSeconds(int(time.time()) - 3600)

    def lag() -> float:
        with urlopen(f"{url}/metrics", timeout=120) as page:  # noqa: S310 - it is http
            lines = page.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))

    name = "podium_outbox_lag_seconds"
    async with (
        serving(tmp_path, http=("127.0.0.1:0",)) as [address, url],
        podium.AsyncClient(address) as client,
    ):
        await client.experiment("y").declare()
        assert await asyncio.to_thread(lag) == 0.0
        outbox = outbox_folder(tmp_path / "outbox", address)
        appended(writer(outbox, "x", None), late).release()
        await Sender([outbox], client, FOREGROUND).run()
        assert 3600 <= await asyncio.to_thread(lag) < 7200


async def test_a_lag_is_forgotten_after_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/metrics` shows the greatest age that senders reported in this minute or the one before.

    Reported values that are not ages, such as `nan` and `-3`, are ignored.
    """
    minute = 7
    monkeypatch.setattr(telemetry, "_minute", lambda: minute)
    numbers = Telemetry()
    shown = []
    for lag in ("5", "nan", "inf", "-3", "x", "4"):
        numbers.note_lag([lag])
    for minute in (7, 8, 9):  # noqa: B007 - the clock reads it
        [line] = [
            line
            for line in (await numbers.text()).splitlines()
            if line.startswith("podium_outbox_lag_seconds")
        ]
        shown.append(line.split()[1])
    assert shown == ["5", "5", "0"]
