"""Measures Optuna, with its gRPC storage proxy over SQLite.

Each run is a trial, and each metric is an attribute of the trial.
"""

import subprocess
import sys

import optuna
from optuna.storages import GrpcStorageProxy
from optuna.trial import TrialState, create_trial

from peers.worker import ARMS, METRICS, WRITERS, Peer, free_port, serve, value

_SERVE = (
    "import sys, optuna; optuna.storages.run_grpc_proxy_server("
    "optuna.storages.RDBStorage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
)
_START_SECONDS = 120


class _Optuna(Peer):
    def start(self) -> None:
        self._port = free_port()
        store = f"sqlite:///{self.folder / 'optuna.db'}"
        command = [sys.executable, "-c", _SERVE, store, str(self._port)]
        self._server = subprocess.Popen(command, stdout=sys.stderr)
        self._storage = self._fresh()
        self._storage.wait_server_ready(_START_SECONDS)
        self._study = optuna.create_study(
            study_name="bench", storage=self._storage, direction="maximize", load_if_exists=True
        )

    def _fresh(self) -> GrpcStorageProxy:
        """Returns a new storage, so that no finished trials are cached."""
        return GrpcStorageProxy(host="127.0.0.1", port=self._port)

    def begin(self) -> None:
        running = self._study.get_trials(states=[TrialState.RUNNING])
        self._live = [trial._trial_id for trial in running]
        while len(self._live) < WRITERS:
            self._live.append(self._study.ask()._trial_id)

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()

    def fill(self) -> None:
        for arm in range(ARMS):
            metrics = {name: value(arm, n) for n, name in enumerate(METRICS)}
            self._study.add_trial(create_trial(value=value(arm, 0), user_attrs=metrics))
        finished = self._study.get_trials(states=[TrialState.COMPLETE])
        self._trials = [trial._trial_id for trial in finished]

    def read(self, arm: int) -> float:
        return float(self._storage.get_trial(self._trials[arm]).user_attrs[METRICS[3]])

    def matrix(self) -> float:
        study = optuna.load_study(study_name="bench", storage=self._fresh())
        trials = study.get_trials(states=[TrialState.COMPLETE], deepcopy=False)
        return float(sum(trial.user_attrs[name] for trial in trials for name in METRICS))

    def write(self, writer: int, step: int) -> None:
        self._storage.set_trial_intermediate_value(self._live[writer], step, 1 / (1 + step))

    def log(self, step: int) -> None:
        # `trial.report` takes one value. It makes this call after it has read the trial.
        self._storage.set_trial_intermediate_value(self._live[0], step, 1 / (1 + step))

    def count(self) -> int:
        return len(self._storage.get_trial(self._live[0]).intermediate_values)


if __name__ == "__main__":
    serve(_Optuna)
