"""Measures Aim without a server: the process that logs also stores the rows.

Aim finds rows only after they are indexed, so `fill` indexes them.
"""

from typing import Any

from peers.worker import ARMS, METRICS, TOP, Peer, serve, value

_QUIET = {
    "system_tracking_interval": None,
    "capture_terminal_logs": False,
    "log_system_params": False,
}


class _Aim(Peer):
    _live: Any = None

    def start(self) -> None:
        import aim  # noqa: PLC0415 (its import is a part of its start)
        from aim.sdk.index_manager import RepoIndexManager  # noqa: PLC0415

        self._aim = aim
        path = str(self.folder)
        self._repo = aim.Repo.from_path(path, init=not (self.folder / ".aim").exists())
        self._index = RepoIndexManager.get_index_manager(self._repo)

    def stop(self) -> None:
        if self._live:
            self._live.close()

    def _run(self, name: str) -> Any:
        run = self._aim.Run(repo=str(self.folder), experiment="bench", **_QUIET)
        run.name = name
        return run

    def fill(self) -> None:
        self._hashes = []
        for arm in range(ARMS):
            run = self._run(f"arm{arm}")
            run.track({name: value(arm, n) for n, name in enumerate(METRICS)}, step=0)
            self._hashes.append(run.hash)
            run.close()
        # `aim up` does this in the background.
        for run_hash in self._hashes:
            self._index.index(run_hash)

    def _query(self, condition: str) -> list[Any]:
        runs = self._repo.query_metrics(condition, report_mode=0).iter_runs()
        return [metric for run in runs for metric in run]

    def read(self, arm: int) -> float:
        run = self._repo.get_run(self._hashes[arm])
        metric = run.get_metric(METRICS[3], self._aim.sdk.run.Context({}))
        return float(metric.values.last()[1])

    def top(self) -> list[str]:
        found = self._query(f"metric.name == '{METRICS[0]}'")
        found.sort(key=lambda metric: -metric.values.last()[1])
        return [metric.run.name for metric in found[:TOP]]

    def matrix(self) -> float:
        found = self._query("metric.name.endswith('.pass_rate')")
        return float(sum(metric.values.last()[1] for metric in found))

    def batch(self, rows: int) -> None:
        run = self._run("live1")
        for step in range(rows):
            run.track(1 / (1 + step), name="loss", step=step)
        run.close()

    def log(self, step: int) -> None:
        self._live = self._live or self._run("live0")
        self._live.track({"pass_rate": step / 7, "loss": 1 / (1 + step)}, step=step)

    def count(self) -> int:
        for run_hash in self._repo.list_all_runs():
            run = self._aim.Run(run_hash, repo=str(self.folder), **_QUIET)
            for metric in run.metrics():
                if metric.name == "loss":
                    return len(metric.values)
        return 0


if __name__ == "__main__":
    serve(_Aim)
