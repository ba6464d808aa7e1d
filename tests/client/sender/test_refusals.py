"""Tests of each reason for which a real server rejects an event.

The sender then stores the event as rejected, or waits and sends it again.
"""

from collections.abc import Iterator
from pathlib import Path

import grpc
import podium
import pytest
from podium._outbox import SenderState, StreamReader, outbox_folder, streams
from podium._wire.status import to_status
from podium.errors import REASONS, Disposition, error_for
from podium.v1.arm_result_pb2 import ARM_STATUS_COMPLETED, ArmResult
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import ArmFinished, ArmRecorded, Event, MetricsRecorded
from podium.v1.run_config_pb2 import RunConfig
from podium.v1.value_pb2 import Value
from podium_server.testing import RunningServer, running_server
from podium_server.testing.calls import arm, declared, metrics, row, started

from tests.client.client.broken import grpc_server
from tests.client.sender.outboxes import (
    appended,
    dead_stream,
    deliver_here,
    rejected_events,
    running_sender,
    until,
    writer,
)


def _by(attempt: str, event: Event) -> Event:
    event.metrics_recorded.attempt_id = attempt
    return event


def _mirrored() -> Event:
    result = ArmResult(
        name="a",
        run_config=RunConfig(name="r"),
        status=ARM_STATUS_COMPLETED,
        evals=[EvalResult(name="test", metrics={"acc": 1})],
        eval_metrics={"acc": 2},
    )
    return Event(arm_recorded=ArmRecorded(arm_result=result))


def _other_config() -> Event:
    event = started("a", "B", 2)
    event.arm_started.run_config.seed = 7
    return event


def _finished() -> Event:
    return Event(arm_finished=ArmFinished(arm="a", status=ARM_STATUS_COMPLETED))


NO_KIND = Event()
NO_KIND.event_time.GetCurrentTime()

# For each reason: the events before the rejected event, and the rejected event.
REFUSED: dict[str, tuple[list[Event], Event]] = {
    "FIELD_MISSING": ([], NO_KIND),
    "NAME_INVALID": ([], row("", 1)),
    "VALUE_INVALID": ([], row("v", 1, breakdowns={"k": Value()})),
    "ENUM_INVALID": ([], Event(arm_finished=ArmFinished(arm="a", status=77))),  # type: ignore[arg-type]  # not known
    "FIELD_OUT_OF_RANGE": ([], row("v", 1, eval_seconds=-1)),
    "LIMIT_EXCEEDED": ([], row("v", 1, metrics={str(i): i for i in range(1_001)})),
    "MIRROR_CONTRADICTS_EVALS": ([], _mirrored()),
    "STREAM_SUBJECT_CHANGED": ([], row("v", 1, name="b")),
    "STALE_ATTEMPT": ([], _by("Z", metrics({"loss": 9}))),
    "ARM_FINISHED": ([_finished()], started("a", "B", 2)),
    "RUN_CONFIG_CHANGED": ([], _other_config()),
    "ARM_HAS_ATTEMPTS": ([], arm()),
    "MODEL_REF_CHANGED": ([row("v", 1)], row("v", 1, model_ref="other")),
}
DELETED = {"ARM_DELETED", "EXPERIMENT_DELETED"}
WITHOUT_POSITION = {"EVENT_NEEDS_ATTEMPT"}
"""Reasons that only calls without a position get. All calls of a sender have a position."""


def test_the_table_is_whole() -> None:
    """Every permanent reason that a sender can get has a test with a real server."""
    permanent = {r for r, info in REASONS.items() if info.disposition is Disposition.PERMANENT}
    assert REFUSED.keys() | DELETED | WITHOUT_POSITION == permanent


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningServer]:
    """Yields a server for the tests that do not stop it."""
    with running_server() as server:
        yield server


@pytest.mark.parametrize("reason", REFUSED)
def test_a_permanent_refusal(reason: str, tmp_path: Path, shared: RunningServer) -> None:
    """A permanently rejected event is kept with its reason, and the events around it arrive."""
    outbox = outbox_folder(tmp_path / "outbox", shared.address)
    before, refused = REFUSED[reason]
    with podium.Client(shared.address) as client:
        client.experiment(reason).declare()
        said = [started("a", "A", 1), *before, refused, row("last", 1)]
        folder = dead_stream(outbox, reason, *said)
        deliver_here(outbox)
        assert rejected_events(folder) == [(len(said) - 1, reason)]
        assert client.arm(reason, "a").eval("last", step=1) is not None
    [rejected] = StreamReader(folder).rejected_events()
    assert Event.FromString(rejected.event) == refused


@pytest.mark.parametrize("reason", sorted(DELETED))
def test_what_was_deleted_stays_deleted(
    reason: str, outbox: Path, server: RunningServer, client: podium.Client
) -> None:
    """Events about a deleted arm or experiment are rejected. A new writer can create it again."""
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "A", 1), row("v", 1))
    with running_sender(outbox):
        until(lambda: stream.progress().delivered == 2)
        if reason == "ARM_DELETED":
            client.arm("x", "a").delete()
        else:
            client.experiment("x").delete()
        appended(stream, row("v", 2), metrics({"loss": 1}))
        until(lambda: stream.progress() == (4, 2))
    assert rejected_events(stream.folder) == [(3, reason), (4, reason)]
    client.experiment("x").declare()
    dead_stream(outbox, "x", started("a", "B", 0), row("v", 9))
    deliver_here(outbox)
    assert [found.step for found in client.arm("x", "a").evals()] == [9]
    assert server.process.poll() is None


def test_an_early_event_waits_for_its_experiment_or_arm(
    outbox: Path, client: podium.Client
) -> None:
    """While the experiment or the arm does not exist, the sender waits and reports the reason."""
    stream = appended(writer(outbox, "x"), row("bench", metrics={"acc": 0.5}))

    def why() -> str:
        state = SenderState.read(outbox)
        return "" if state is None else str(state.waits.get(stream.info.writer_id))

    with running_sender(outbox):
        until(lambda: why().endswith("(EXPERIMENT_NOT_FOUND)"))
        client.experiment("x").declare()
        until(lambda: why().endswith("(ARM_NOT_FOUND)"))
        assert stream.progress() == (0, 0)
        client.experiment("x").record_arm(podium.ArmResult("a", podium.RunConfig("a"), "running"))
        until(lambda: stream.progress().delivered == 1)
    assert client.arm("x", "a").score("bench.acc") == 0.5
    stream.release()


@pytest.mark.slow
def test_a_waiting_stream_holds_up_no_other(outbox: Path, client: podium.Client) -> None:
    """Forty evaluators that wait for their arms do not delay another stream."""
    client.experiment("x").declare()
    for i in range(40):
        dead_stream(outbox, "x", row("v", 1, name=f"none{i}"), arm=f"none{i}")
    stream = appended(writer(outbox, "x"), started("a", "A", 1), row("v", 1))
    with running_sender(outbox):
        until(lambda: stream.progress().delivered == 2)
        appended(stream, row("v", 2))
        until(lambda: stream.progress().delivered == 3)
    stream.release()


def test_an_arm_whose_start_was_rejected(outbox: Path, client: podium.Client) -> None:
    """If the start of an arm is rejected, later events of its stream are rejected, too.

    The next sender also rejects the events that are added later.
    """
    client.experiment("x").declare()
    stream = appended(writer(outbox, "x"), started("a", "", 1), row("v", 1))
    with running_sender(outbox):
        until(lambda: stream.progress() == (2, 2))
    appended(stream, _by("A", metrics({"loss": 1})))
    stream.release()
    deliver_here(outbox)
    assert rejected_events(stream.folder) == [
        (1, "NAME_INVALID"),
        (2, "ARM_NOT_FOUND"),
        (3, "ARM_NOT_FOUND"),
    ]


# ---- the call as a whole ---------------------------------------------------------------------

CALL_REASONS = [
    reason
    for reason, info in REASONS.items()
    if info.disposition is None and reason not in {"MALFORMED_REQUEST", "SEQUENCE_GAP"}
]


@pytest.mark.parametrize("reason", CALL_REASONS)
def test_a_call_is_repeated_after_an_error_of_the_whole_call(reason: str, tmp_path: Path) -> None:
    """After an error of the whole call, the sender sends exactly the same call again."""
    seen: list[bytes] = []

    def answer(raw: bytes, context: grpc.ServicerContext) -> bytes:
        seen.append(raw)
        if len(seen) < 3:
            status = to_status(error_for(reason, "not now"))
            context.set_trailing_metadata(status.trailing_metadata)
            context.abort(status.code, status.text)
        return b""

    with grpc_server(Record=answer) as address:
        outbox = outbox_folder(tmp_path / "outbox", address)
        dead_stream(outbox, "x", row("v", 1))
        deliver_here(outbox)
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]
    assert streams(outbox) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "events"),
    [
        (["call_events=3"], 50),
        (["call_metrics=40"], 50),
        (["message_bytes=20000"], 200),
    ],
)
def test_batches_that_are_too_large_for_the_server(
    limits: list[str], events: int, tmp_path: Path
) -> None:
    """A server with lower limits gets smaller calls, and all events arrive."""
    arguments = [word for limit in limits for word in ("--limit", limit)]
    with running_server(None, *arguments) as server:
        outbox = outbox_folder(tmp_path / "outbox", server.address)
        dead_stream(outbox, "x", declared(), arm=None)
        rows = [row("v", i, metrics={str(k): k for k in range(30)}) for i in range(events)]
        dead_stream(outbox, "x", started("a", "A", 1), *rows)
        deliver_here(outbox)
        with podium.Client(server.address) as client:
            assert [found.step for found in client.arm("x", "a").evals()] == list(range(events))
    assert streams(outbox) == []


def test_a_single_event_that_is_too_large(tmp_path: Path) -> None:
    """An event that is larger than a message may be is rejected, and the others arrive."""
    with running_server(None, "--limit", "message_bytes=20000") as server:
        outbox = outbox_folder(tmp_path / "outbox", server.address)
        dead_stream(outbox, "x", declared(), arm=None)
        large = Event(metrics_recorded=MetricsRecorded(arm="a" * 30_000))
        folder = dead_stream(outbox, "x", started("a", "A", 1), large, row("v", 1))
        deliver_here(outbox)
        with podium.Client(server.address) as client:
            assert [found.step for found in client.arm("x", "a").evals()] == [1]
    assert rejected_events(folder) == [(2, "LIMIT_EXCEEDED")]
