"""A watch of an experiment, which must show all rows despite failures of the cluster."""

import threading

import podium

from tests.crash.durability.writers import LATEST

__all__ = ["Row", "Watcher"]

Row = tuple[str, str, int | None]


class Watcher(threading.Thread):
    """Watches an experiment, and keeps its rows.

    Attributes:
        experiment: The name of the experiment.
        revision: The revision of the last update.
        rows: The value of each row, by arm, eval name and step. Rows of the eval `LATEST` are left
            out.
        faults: The faults of the watch.
    """

    def __init__(self, addresses: str, experiment: str) -> None:
        super().__init__(daemon=True)
        self.revision = 0
        self.rows: dict[Row, float] = {}
        self.faults: list[str] = []
        self._addresses = addresses
        self.experiment = experiment

    def run(self) -> None:
        """Watches the experiment until the process ends."""
        try:
            with podium.Client(self._addresses) as client:
                for update in client.experiment(self.experiment).watch():
                    self._apply(update)
        except podium.PodiumError as error:
            self.faults.append(f"a watch of {self.experiment} ended: {error}")

    def _apply(self, update: podium.WatchUpdate) -> None:
        revision = update.marker.revision if update.marker else -1
        if revision < self.revision or (update.is_reset and self.revision):
            self.faults.append(f"a watch went from revision {self.revision} to {revision}")
        for item in update.evals:
            row = item.eval_result
            if row.name != LATEST:
                self.rows[item.arm, row.name, row.step] = row.metrics["value"]
        self.revision = revision
