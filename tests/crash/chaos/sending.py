"""Changes the sender of a chaos run: it notes each answer, and has a defect if one is planted.

The environment variable `CHAOS_ANSWERS` names the file for the answers, and `CHAOS_PLANT` the
defect.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podium import AsyncClient
from podium._model.recording import RecordResult, StreamPosition
from podium._outbox import records
from podium._sender import protocol, verdicts
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["ANSWERS", "PLANT", "PLANTS", "Answer", "install", "read_answers"]

ANSWERS, PLANT = "CHAOS_ANSWERS", "CHAOS_PLANT"
"""The names of the environment variables."""
_UNKNOWN = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
_record = AsyncClient.record


@dataclass(frozen=True)
class Answer:
    """The server's answer to a call, or its error.

    Attributes:
        writer_id: The writer id of the stream.
        last: The last sequence number of the stream that the server reported. For SEQUENCE_GAP, it
            is the number before the expected one.
        skipped: The number of events that the server had before.
        error: The reason or the code of the error. Empty if there was none.
    """

    writer_id: str
    last: int
    skipped: int
    error: str

    @property
    def is_unknown(self) -> bool:
        """Whether it is unknown if the call was stored."""
        return self.error in _UNKNOWN


def read_answers(path: Path) -> list[Answer]:
    """Reads the answers that senders wrote to a file, in order."""
    text = path.read_text() if path.exists() else ""
    lines = (line.split(" ") for line in text[: text.rfind("\n") + 1].splitlines())
    return [
        Answer(writer_id, int(last), int(skipped), error)
        for writer_id, last, skipped, error in lines
    ]


async def _noted(
    self: AsyncClient,
    experiment: str,
    events: Iterable[Event],
    position: StreamPosition | None = None,
    *,
    validate_only: bool = False,
) -> RecordResult:
    """Records events, and writes the answer to a file before the sender sees it."""
    assert position is not None
    assert not validate_only
    result: RecordResult
    try:
        result = await _send(self, experiment, events, position)
    except PodiumError as error:
        gap = int(error.metadata.get("expected_sequence", "1")) - 1
        _note(position.writer_id, gap, 0, error.reason or error.code)
        raise
    _note(position.writer_id, result.last_sequence or 0, result.skipped_events, "")
    return result


_send: Any = _record


def _note(writer_id: str, last: int, skipped: int, error: str) -> None:
    descriptor = os.open(os.environ[ANSWERS], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{writer_id} {last} {skipped} {error}\n".encode())
    os.close(descriptor)


def _resend_anew() -> None:
    """Sends a call with an unknown outcome again without its position, as if it were a new call."""
    unknown: set[str] = set()

    async def send(
        client: AsyncClient, experiment: str, events: list[Event], position: StreamPosition
    ) -> RecordResult:
        again = position.writer_id in unknown
        unknown.discard(position.writer_id)
        try:
            return await _record(client, experiment, events, None if again else position)
        except PodiumError as error:
            if error.code in _UNKNOWN:
                unknown.add(position.writer_id)
            raise

    globals()["_send"] = send


def _skip_a_wait() -> None:
    """Skips events whose arm does not exist yet."""

    def refused(self: Any, batch: Any, error: PodiumError) -> Any:
        self._rejected.update(batch.first + refusal.index for refusal in error.refusals)
        return verdicts.Again()

    protocol.Delivery._refused = refused  # type: ignore[method-assign]


def _no_cut() -> None:
    """Accepts a torn record as complete: its checksum is not compared."""

    def at(data: bytes, begin: int, seed: int) -> records.Record | None:
        if begin + records.HEADER > len(data):
            return None
        del seed
        length, _, sequence = records._HEADER.unpack_from(data, begin)
        end = begin + records.HEADER + length
        if not sequence or end > len(data):
            return None
        payload = data[begin + records.HEADER : end]
        return records.Record(sequence, payload, begin, begin + records.room_for(length))

    records._at = at


PLANTS = {"resend_anew": _resend_anew, "skip_a_wait": _skip_a_wait, "no_cut": _no_cut}
"""The defects of senders, by name."""


def install() -> None:
    """Makes the sender of this process note each answer, and plants the chosen defect."""
    AsyncClient.record = _noted  # type: ignore[method-assign]
    plant = os.environ.get(PLANT)
    if plant in PLANTS:
        PLANTS[plant]()
