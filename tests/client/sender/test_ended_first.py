"""Tests that streams of ended processes are sent before those of running processes."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import podium
from podium._outbox import SenderLock, outbox_address
from podium._sender import Rules, Sender
from podium.v1.event_pb2 import Event
from podium_server.testing.calls import started

from tests.client.sender.outboxes import appended, dead_stream, writer


class NotingClient:
    """A client of a real server, which adds the arm of each call to `arms`."""

    def __init__(self, client: podium.AsyncClient) -> None:
        self._client = client
        self.arms: list[str] = []

    async def record(
        self,
        experiment: str,
        events: Iterable[Event],
        position: podium.StreamPosition | None = None,
    ) -> podium.RecordResult:
        """Records events, and adds the arm of the first one to `arms`."""
        sent = list(events)
        self.arms.append(sent[0].arm_started.arm or sent[0].arm_finished.arm)
        return await self._client.record(experiment, sent, position)

    def experiment(self, name: str) -> podium.AsyncExperimentHandle:
        """Returns the handle of an experiment."""
        return self._client.experiment(name)


def test_ended_streams_are_sent_first(outbox: Path, client: podium.Client) -> None:
    """If more streams wait than calls can run at once, those of ended processes are sent first."""
    client.experiment("x").declare()
    running = [appended(writer(outbox, "x", f"a{i}"), started(f"a{i}", "A", 1)) for i in range(12)]
    for arm in ("y", "z"):
        dead_stream(outbox, "x", started(arm, "A", 1), arm=arm)
    assert sorted(_delivered(outbox)[:2]) == ["y", "z"]
    for stream in running:
        stream.release()


def _delivered(outbox: Path) -> list[str]:
    async def run() -> list[str]:
        async with podium.AsyncClient(outbox_address(outbox)) as client:
            noting = NotingClient(client)
            await Sender([outbox], noting, Rules(idle_seconds=0, patience_seconds=120)).run()
            return noting.arms

    lock = SenderLock(outbox)
    assert lock.try_acquire()
    try:
        return asyncio.run(run())
    finally:
        lock.release()
