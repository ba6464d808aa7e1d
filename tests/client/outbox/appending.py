"""Appends records to a stream as fast as it can, until the process is killed.

    python -m tests.client.outbox.appending OUTBOX SEED

Prints the folder of the stream, and then, after each append, a line with the record's sequence.
"""

import os
import sys
import threading
import time
from pathlib import Path
from random import Random

from podium._outbox import OutboxFullError, StreamWriter

from tests.client.outbox.places import info

__all__ = ["main", "payload_of"]


def payload_of(seed: int, sequence: int) -> bytes:
    """Returns the payload of record `sequence` of a process that was started with `seed`."""
    random = Random(f"{seed}/{sequence}")  # noqa: S311 - no secret
    return random.randbytes(random.choice((0, 20, 150, 400, 6_000)))


def _upkeep(writer: StreamWriter) -> None:
    while True:
        if writer.needs_room:
            writer.prepare()
        writer.sync()
        time.sleep(0.001)


def main(outbox: Path, seed: int) -> None:
    """Creates a stream in `outbox`, and appends records to it until the process is killed."""
    writer = StreamWriter.create(outbox, info(), segment_bytes=16 * 1024)
    os.write(1, f"{writer.folder}\n".encode())
    threading.Thread(target=_upkeep, args=(writer,), daemon=True).start()
    while True:
        payload = payload_of(seed, writer.last_sequence + 1)
        try:
            sequence = writer.append(payload)
        except OutboxFullError:
            writer.prepare()
        else:
            os.write(1, b"%d\n" % sequence)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
