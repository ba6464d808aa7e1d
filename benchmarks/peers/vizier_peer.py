"""Measures OSS Vizier, with its gRPC server on SQLite.

Each run is a trial. The final measurement of the trial has the metrics.
"""

import subprocess
import sys
from typing import Any

from peers.worker import ARMS, METRICS, WRITERS, Peer, serve, value, wait_until

_SERVE = (
    "import sys, time; from vizier.service import servers; "
    "server = servers.DefaultVizierServer(host='127.0.0.1', database_url=sys.argv[1]); "
    "print(server.endpoint, flush=True); time.sleep(1e6)"
)


class _Vizier(Peer):
    def start(self) -> None:
        from vizier.service import clients, pyvizier  # noqa: PLC0415 (its import is a part of it)

        self._vizier = pyvizier
        store = f"sqlite:///{self.folder / 'vizier.db'}"
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVE, store], stdout=subprocess.PIPE, text=True
        )
        if self._server.stdout is None:
            raise RuntimeError("the server has no output")
        clients.environment_variables.server_endpoint = self._server.stdout.readline().strip()
        config = pyvizier.StudyConfig(algorithm="RANDOM_SEARCH")
        config.search_space.root.add_float_param("lr", 0, 1)
        for name in METRICS:
            goal = pyvizier.ObjectiveMetricGoal.MAXIMIZE
            config.metric_information.append(pyvizier.MetricInformation(name, goal=goal))

        def study() -> None:
            self._study = clients.Study.from_study_config(config, owner="bench", study_id="bench")

        wait_until(study)

    def begin(self) -> None:
        self._live = [
            self._study.suggest(count=1, client_id=f"writer{writer}")[0]
            for writer in range(WRITERS)
        ]

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()

    def fill(self) -> None:
        self._trials = []
        for arm in range(ARMS):
            trial = self._vizier.Trial(
                parameters={"lr": 0.5},
                final_measurement=self._vizier.Measurement(
                    {name: value(arm, n) for n, name in enumerate(METRICS)}
                ),
            )
            self._trials.append(self._study.add_trial(trial).id)

    def read(self, arm: int) -> float:
        trial = self._study.get_trial(self._trials[arm]).materialize()
        return float(trial.final_measurement.metrics[METRICS[3]].value)

    def matrix(self) -> float:
        status = self._vizier.TrialFilter(status=[self._vizier.TrialStatus.COMPLETED])
        trials: Any = self._study.trials(status).get()
        return float(
            sum(trial.final_measurement.metrics[name].value for trial in trials for name in METRICS)
        )

    def write(self, writer: int, step: int) -> None:
        measured = self._vizier.Measurement({METRICS[0]: 1 / (1 + step)}, steps=step)
        self._live[writer].add_measurement(measured)

    def log(self, step: int) -> None:
        metrics = {METRICS[0]: step / 7, METRICS[1]: 1 / (1 + step)}
        self._live[0].add_measurement(self._vizier.Measurement(metrics, steps=step))

    def count(self) -> int:
        return len(self._live[0].materialize().measurements)


if __name__ == "__main__":
    serve(_Vizier)
