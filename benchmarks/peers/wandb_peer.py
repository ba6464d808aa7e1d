"""Measures W&B offline: it only writes a file, which `wandb sync` could send to a server later."""

import os
import struct
from collections.abc import Iterator
from typing import Any

from peers.worker import Peer, serve

_BLOCK, _FULL, _LAST = 32_768, 1, 4


class _Wandb(Peer):
    _live: Any = None

    def start(self) -> None:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
        import wandb  # noqa: PLC0415 (its import is a part of its start)

        self._wandb = wandb
        self._live = self._run("live0")

    def _run(self, name: str) -> Any:
        return self._wandb.init(project="bench", name=name, dir=self.folder, reinit="create_new")

    def stop(self) -> None:
        self._live.finish()

    def batch(self, rows: int) -> None:
        with self._run("live1") as run:
            for step in range(rows):
                run.log({"loss": 1 / (1 + step)}, step=step)

    def log(self, step: int) -> None:
        self._live.log({"pass_rate": step / 7, "loss": 1 / (1 + step)}, step=step)

    def count(self) -> int:
        from wandb.proto import wandb_internal_pb2  # noqa: PLC0415 (as in start)

        found = 0
        for file in self.folder.rglob("*.wandb"):
            for data in _records(file.read_bytes()):
                record = wandb_internal_pb2.Record.FromString(data)
                found += record.WhichOneof("record_type") == "history"
        return found


def _records(data: bytes) -> Iterator[bytes]:
    """Yields the complete records of a file in the format of LevelDB's logs."""
    place, parts = 7, b""
    while place + 7 <= len(data):
        if _BLOCK - place % _BLOCK < 7:
            place += _BLOCK - place % _BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (_FULL, _LAST) and place <= len(data):
            yield parts
            parts = b""


if __name__ == "__main__":
    serve(_Wandb)
