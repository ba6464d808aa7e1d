"""Outboxes, streams and their records, for the tests of outboxes."""

import os
from pathlib import Path

from podium._outbox import StreamInfo, StreamReader, StreamWriter, new_writer_id, outbox_folder

__all__ = ["ADDRESS", "all_of", "info", "new_outbox", "new_writer"]

ADDRESS = "localhost:50051"


def new_outbox(root: Path) -> Path:
    """Creates an outbox for a server that no test calls."""
    return outbox_folder(root / "outbox", ADDRESS)


def info(**fields: object) -> StreamInfo:
    """Returns the description of a new stream of the arm `lora_rank4`.

    `fields` replace its values.
    """
    said: dict[str, object] = {
        "experiment": "rank_sweep",
        "arm": "lora_rank4",
        "writer_id": new_writer_id(),
        "attempt_id": "first",
        "attempt_order": 1,
        "pid": os.getpid(),
        "host": "here",
        "create_time": 1_700_000_000.0,
    }
    return StreamInfo(**(said | fields))  # type: ignore[arg-type]  # fields by name


def new_writer(outbox: Path, segment_bytes: int = 4096) -> StreamWriter:
    """Creates a stream with small segments, and returns its writer."""
    return StreamWriter.create(outbox, info(), segment_bytes=segment_bytes)


def all_of(reader: StreamReader, after: int = 0) -> list[tuple[int, bytes]]:
    """Returns all records of a stream after the sequence `after`. Reads them in small batches."""
    entries: list[tuple[int, bytes]] = []
    while batch := reader.read(entries[-1][0] if entries else after, most_events=7):
        entries += batch
    return entries
