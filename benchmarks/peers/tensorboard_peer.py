"""Measures TensorBoard without torch.

tensorboardX writes the files, and TensorBoard's own reader reads them.
"""

import os
from typing import Any

from peers.worker import ARMS, METRICS, Peer, serve, value


class _TensorBoard(Peer):
    _live: Any = None

    def start(self) -> None:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 (its import is a part of its start)

        self._writer = SummaryWriter
        self._live = self._run("live0")
        self._live.add_scalar("start", 0.0, 0)
        self._live.flush()

    def _run(self, name: str) -> Any:
        # The default file name has only the time in seconds, so two processes could use one file.
        return self._writer(str(self.folder / name), filename_suffix=f".{os.getpid()}")

    def stop(self) -> None:
        self._live.close()

    def fill(self) -> None:
        for arm in range(ARMS):
            with self._run(f"arm{arm}") as run:
                for number, name in enumerate(METRICS):
                    run.add_scalar(name, value(arm, number), 0)

    def _read(self, name: str) -> Any:
        from tensorboard.backend.event_processing.event_accumulator import (  # noqa: PLC0415
            EventAccumulator,
        )

        # Otherwise the reader drops rows that a later file seems to repeat.
        return EventAccumulator(
            str(self.folder / name), size_guidance={"scalars": 0}, purge_orphaned_data=False
        ).Reload()

    def read(self, arm: int) -> float:
        return float(self._read(f"arm{arm}").Scalars(METRICS[3])[-1].value)

    def matrix(self) -> float:
        runs = [self._read(f"arm{arm}") for arm in range(ARMS)]
        return float(sum(run.Scalars(name)[-1].value for run in runs for name in METRICS))

    def batch(self, rows: int) -> None:
        with self._run("live1") as run:
            for step in range(rows):
                run.add_scalar("loss", 1 / (1 + step), step)

    def write(self, writer: int, step: int) -> None:
        if writer:
            raise NotImplementedError  # one process writes one run
        self._live.add_scalar("loss", 1 / (1 + step), step)
        self._live.flush()

    def log(self, step: int) -> None:
        self._live.add_scalar("pass_rate", step / 7, step)
        self._live.add_scalar("loss", 1 / (1 + step), step)

    def count(self) -> int:
        run = self._read("live0")
        return len(run.Scalars("loss")) if "loss" in run.Tags()["scalars"] else 0


if __name__ == "__main__":
    serve(_TensorBoard)
