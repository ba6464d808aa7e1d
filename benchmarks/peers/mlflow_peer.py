"""Measures MLflow, with its tracking server on SQLite and its client."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
from mlflow.entities import Metric

from peers.worker import ARMS, METRICS, TOP, WRITERS, Peer, free_port, serve, value, wait_until

_METRICS_A_CALL = 1_000


class _MLflow(Peer):
    def start(self) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        address = f"127.0.0.1:{(port := free_port())}"
        store = f"sqlite:///{self.folder / 'mlflow.db'}"
        command = [str(Path(sys.executable).parent / "mlflow"), "server", "--port", str(port)]
        options = ["--backend-store-uri", store, "--artifacts-destination", str(self.folder)]
        # With several workers, MLflow's supervisor ends those that are slow on a busy machine.
        options += ["--workers", "1"]
        self._server = subprocess.Popen([*command, *options], stdout=sys.stderr)
        mlflow.set_tracking_uri(f"http://{address}")
        self._client = mlflow.MlflowClient(f"http://{address}")
        wait_until(lambda: urllib.request.urlopen(f"http://{address}/health").close())
        self._client.search_experiments()

    def begin(self) -> None:
        found = self._client.get_experiment_by_name("bench")
        self._bench = found.experiment_id if found else self._client.create_experiment("bench")
        runs = self._client.search_runs([self._bench], "tags.live = '1'", max_results=WRITERS)
        self._live = {run.info.run_name: run.info.run_id for run in runs}
        for name in (f"live{writer}" for writer in range(WRITERS)):
            if name not in self._live:
                run = self._client.create_run(self._bench, tags={"live": "1"}, run_name=name)
                self._live[name] = run.info.run_id

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()

    def fill(self) -> None:
        self._runs = [self._fill_run(arm) for arm in range(ARMS)]

    def _fill_run(self, arm: int) -> str:
        run = self._client.create_run(self._bench, run_name=f"arm{arm}")
        now = int(time.time() * 1000)
        metrics = [Metric(name, value(arm, n), now, 0) for n, name in enumerate(METRICS)]
        self._client.log_batch(run.info.run_id, metrics)
        self._client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def read(self, arm: int) -> float:
        return float(self._client.get_run(self._runs[arm]).data.metrics[METRICS[3]])

    def top(self) -> list[str]:
        order = [f"metrics.`{METRICS[0]}` DESC"]
        runs = self._client.search_runs([self._bench], max_results=TOP, order_by=order)
        return [run.info.run_name for run in runs]

    def matrix(self) -> float:
        finished = "attributes.status = 'FINISHED'"
        runs = self._client.search_runs([self._bench], finished, max_results=ARMS)
        return float(sum(run.data.metrics[name] for run in runs for name in METRICS))

    def batch(self, rows: int) -> None:
        now = int(time.time() * 1000)
        made = [Metric("loss", 1 / (1 + step), now, step) for step in range(rows)]
        for first in range(0, rows, _METRICS_A_CALL):
            self._client.log_batch(self._live["live1"], made[first : first + _METRICS_A_CALL])

    def write(self, writer: int, step: int) -> None:
        self._client.log_metric(self._live[f"live{writer}"], "loss", 1 / (1 + step), step=step)

    def log(self, step: int) -> None:
        metrics = {"pass_rate": step / 7, "loss": 1 / (1 + step)}
        mlflow.log_metrics(metrics, step=step, run_id=self._live["live0"])

    def count(self) -> int:
        return len(self._client.get_metric_history(self._live["live0"], "loss"))


if __name__ == "__main__":
    serve(_MLflow)
