"""Tests that events of an older attempt are delivered before a newer attempt of the arm starts."""

from pathlib import Path
from typing import Any

import podium
import pytest
from podium._outbox import outbox_folder
from podium_server.testing import RunningServer
from podium_server.testing.calls import row, started

from tests.client.cli.shell import podium as command
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    deliver_here,
    rejected_events,
    running_sender,
    until,
    vanish,
    writer,
)


def _attempt(outbox: Path, order: int, steps: range, **mode: Any) -> Path:
    """Records an attempt with a row for each step. Returns the folder of its stream."""
    attempt = str(order)
    rows = [row("val", step, metrics={"by": order}) for step in steps]
    for each in rows:
        each.eval_recorded.attempt_id = attempt
    begin = started("a", attempt, order, **mode)
    return dead_stream(outbox, "x", begin, *rows, attempt_id=attempt, attempt_order=order)


def _rows(client: podium.Client) -> list[tuple[int | None, float]]:
    return [(found.step, found.metrics["by"]) for found in client.arm("x", "a").evals()]


RESUMED = [*((step, 1) for step in range(3_000)), *((step, 2) for step in range(3_000, 3_010))]


@pytest.mark.slow
@pytest.mark.parametrize("newer_first", [False, True])
def test_a_resumed_attempt_waits_for_what_it_resumes_from(
    newer_first: bool, outbox: Path, client: podium.Client
) -> None:
    """Of two attempts that were recorded offline, the older one is delivered first."""
    client.experiment("x").declare()
    attempts: list[tuple[int, range, dict[str, int]]] = [
        (1, range(3_050), {}),
        (2, range(3_000, 3_010), {"resume_step": 2_999}),
    ]
    for order, steps, mode in reversed(attempts) if newer_first else attempts:
        _attempt(outbox, order, steps, **mode)
    deliver_here(outbox)
    assert _rows(client) == RESUMED


@pytest.mark.slow
def test_attempts_on_two_machines_are_delivered_together(
    tmp_path: Path, server: RunningServer, client: podium.Client
) -> None:
    """`podium sync` delivers the older attempt first, even if the outboxes are of two machines."""
    client.experiment("x").declare()
    here = outbox_folder(tmp_path / "outbox", server.address)
    there = tmp_path / "outbox" / "another-host" / here.name
    there.parent.mkdir()
    there.mkdir()
    (there / "outbox.json").write_bytes((here / "outbox.json").read_bytes())
    _attempt(there, 2, range(3_000, 3_010), resume_step=2_999)
    _attempt(here, 1, range(3_050))
    done = command("sync", str(tmp_path / "outbox"))
    assert (done.code, _rows(client)) == (0, RESUMED)
    assert done.out.splitlines() == [
        f"11 events delivered to {server.address}",
        f"3,051 events delivered to {server.address}",
    ]


@pytest.mark.slow
def test_late_events_of_an_older_attempt_are_rejected(outbox: Path, client: podium.Client) -> None:
    """Events that an older attempt records after the newer one has started are rejected."""
    client.experiment("x").declare()
    zombie = writer(outbox, "x", attempt_id="1", attempt_order=1)
    late = row("val", 9)
    late.eval_recorded.attempt_id = "1"
    appended(zombie, started("a", "1", 1))
    with running_sender(outbox):
        newer = writer(outbox, "x", attempt_id="2", attempt_order=2)
        appended(newer, started("a", "2", 2))
        while newer.progress().delivered == 0:
            appended(zombie, late)
        appended(zombie, late)
        until(lambda: zombie.progress().delivered == zombie.last_sequence)
    assert client.arm("x", "a").get().attempt == podium.Attempt("2", 2)
    assert rejected_events(zombie.folder)[-1] == (zombie.last_sequence, "STALE_ATTEMPT")
    assert rejected_events(newer.folder) == []
    zombie.release()
    newer.release()


def test_an_older_attempt_that_waits_or_vanishes(outbox: Path, client: podium.Client) -> None:
    """If the stream of the older attempt is deleted, the newer attempt does not wait for it."""
    older = _attempt(outbox, 1, range(3))
    newer = writer(outbox, "x", attempt_id="2", attempt_order=2)
    appended(newer, started("a", "2", 2))
    with running_sender(outbox):
        vanish(older)
        client.experiment("x").declare()
        until(lambda: newer.progress().delivered == 1)
    newer.release()
