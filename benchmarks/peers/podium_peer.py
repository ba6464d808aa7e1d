"""Measures Podium: its server on SQLite, its blocking client, and `podium.record` for logs."""

import os
import subprocess
import sys
from pathlib import Path

import podium
from podium import events
from podium_server.testing import RunningServer

from peers.worker import ARMS, METRICS, TOP, WRITERS, Peer, serve, value

_EVENTS_A_CALL = 1_000


class _Podium(Peer):
    def start(self) -> None:
        self._server = RunningServer(f"sqlite:///{self.folder / 'podium.db'}")
        self._client = podium.Client(self._server.address)
        self._client.server()
        self._bench = self._client.experiment("bench")
        self._recording: podium.ArmRecording | None = None
        os.environ["PODIUM_ADDRESS"] = self._server.address
        os.environ["PODIUM_OUTBOX"] = str(self.folder / "outbox")

    def begin(self) -> None:
        self._bench.declare(success_metric=METRICS[0])
        self._live = [self._client.arm("bench", f"live{writer}") for writer in range(WRITERS)]
        if not any(self._bench.arms(name_prefix="live")):
            for arm in self._live:
                self._bench.start_arm(podium.RunConfig(arm.name))

    def stop(self) -> None:
        self._client.close()
        self._server.stop()

    def fill(self) -> None:
        for arm in range(ARMS):
            rows = [
                podium.EvalResult(
                    metric.partition(".")[0], metrics={"pass_rate": value(arm, number)}
                )
                for number, metric in enumerate(METRICS)
            ]
            config = podium.RunConfig(f"arm{arm}")
            result = podium.ArmResult(f"arm{arm}", config, status="completed", evals=rows)
            self._bench.record_arm(result)

    def read(self, arm: int) -> float:
        return self._client.arm("bench", f"arm{arm}").score(METRICS[3]) or 0.0

    def top(self) -> list[str]:
        return [arm.arm for arm in self._bench.rank(top=TOP).arms]

    def matrix(self) -> float:
        scores = self._bench.scores(METRICS, name_prefix="arm")
        return float(sum(number or 0.0 for column in scores.columns for number in column.scores))

    def batch(self, rows: int) -> None:
        evals = (
            podium.EvalResult("val", metrics={"loss": 1 / (1 + step)}, step=step)
            for step in range(rows)
        )
        made = [events.eval_recorded("live1", row) for row in evals]
        for first in range(0, rows, _EVENTS_A_CALL):
            self._client.record("bench", made[first : first + _EVENTS_A_CALL])

    def write(self, writer: int, step: int) -> None:
        self._live[writer].log_eval("val", {"loss": 1 / (1 + step)}, step=step)

    def log(self, step: int) -> None:
        if self._recording is None:
            experiment = podium.record("log", strict=True)
            self._recording = experiment.start_arm(podium.RunConfig("live0"))
        metrics = {"pass_rate": step / 7, "loss": 1 / (1 + step)}
        self._recording.log_eval("val", metrics, step=step)

    def count(self) -> int:
        sync = [str(Path(sys.executable).parent / "podium"), "sync", str(self.folder / "outbox")]
        sync += ["--address", self._server.address]
        subprocess.run(sync, check=False, stdout=subprocess.DEVNULL)
        names = [experiment.name for experiment in self._client.experiments()]
        found = [arm for name in names for arm in self._client.experiment(name).arms()]
        return sum(arm.eval_count for arm in found if arm.name == "live0")


if __name__ == "__main__":
    serve(_Podium)
