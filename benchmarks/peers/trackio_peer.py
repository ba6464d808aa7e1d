"""Measures trackio without a server: the process that logs also stores the rows, after a delay.

Rows are read with SQL.
"""

import os
from typing import Any

from peers.worker import ARMS, METRICS, TOP, Peer, serve, value


class _Trackio(Peer):
    _live: Any = None

    def start(self) -> None:
        os.environ["TRACKIO_DIR"] = str(self.folder)
        import trackio  # noqa: PLC0415 (its import is a part of its start)

        self._trackio = trackio
        self._storage = trackio.sqlite_storage.SQLiteStorage

    def stop(self) -> None:
        if self._live:
            self._live.finish()

    def _run(self, name: str) -> Any:
        return self._trackio.init(project="bench", name=name, embed=False)

    def fill(self) -> None:
        for arm in range(ARMS):
            run = self._run(f"arm{arm}")
            run.log({name: value(arm, n) for n, name in enumerate(METRICS)})
            run.finish()

    def _query(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._storage.query_project("bench", sql)["rows"]
        return rows

    def read(self, arm: int) -> float:
        column = f"json_extract(metrics, '$.\"{METRICS[3]}\"')"
        where = f"run_name = 'arm{arm}' ORDER BY step DESC LIMIT 1"
        return float(self._query(f"SELECT {column} AS seen FROM metrics WHERE {where}")[0]["seen"])

    def top(self) -> list[str]:
        order = f"json_extract(metrics, '$.\"{METRICS[0]}\"') DESC LIMIT {TOP}"
        rows = self._query(f"SELECT run_name FROM metrics ORDER BY {order}")
        return [row["run_name"] for row in rows]

    def matrix(self) -> float:
        rows = [self._storage.get_logs("bench", f"arm{arm}")[-1] for arm in range(ARMS)]
        return float(sum(row[name] for row in rows for name in METRICS))

    def batch(self, rows: int) -> None:
        run = self._run("live1")
        for step in range(rows):
            run.log({"loss": 1 / (1 + step)}, step=step)
        run.finish()

    def log(self, step: int) -> None:
        self._live = self._live or self._run("live0")
        self._live.log({"pass_rate": step / 7, "loss": 1 / (1 + step)}, step=step)

    def count(self) -> int:
        return len(self._storage.get_logs("bench", "live0"))


if __name__ == "__main__":
    serve(_Trackio)
