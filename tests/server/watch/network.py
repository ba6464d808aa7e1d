"""Histories over the network: a server in its own process, and connections that are cut.

Half of the clients read the messages of the protocol. The others use the Python client, which
connects again by itself, and also apply each update to a `LiveState`, as `follow()` does.
"""

import asyncio
import contextlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import grpc
import podium
from podium._client import watching
from podium._client.live_state import LiveState
from podium._wire import codec
from podium.errors import AbortedError, NotFoundError, PodiumError, UnavailableError
from podium.v1.results_service_pb2 import WatchResponse
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium_server.store.sqlite.copies import back_up

from tests.server.watch.cutting import CuttingProxy
from tests.server.watch.history import FILTERS, History
from tests.server.watch.judge import Judge, State
from tests.server.watch.servers import CHANNEL, SpoiledServer, Wire, replace_store
from tests.server.watch.states import NAME

__all__ = ["Counts", "NetworkHistory"]

_STATUSES = {2: "running", 3: "completed", 4: "failed"}
_AHEAD = 1_000
_SHORT_PAUSES: dict[str, Any] = {"_FIRST_PAUSE": 0.01, "_LONGEST_PAUSE": 0.1}


@dataclass
class Counts:
    """The counts of what happened in a history.

    Attributes:
        least_cuts: The number of cuts of the watch that was cut least often.
        cuts: The cuts of all watches.
        marks: The markers that all watches received.
        revisions: The number of states that the experiment had.
        lives: How often the experiment was created, created again, or restored from a backup.
        kills: How often the server was ended with SIGKILL.
        stops: How often the server was ended with SIGTERM.
        restores: How often a backup was restored.
    """

    least_cuts: int = 0
    cuts: int = 0
    marks: int = 0
    revisions: int = 0
    lives: int = 0
    kills: int = 0
    stops: int = 0
    restores: int = 0


class NetworkHistory(History):
    """An experiment at a server, and watches of it over connections that are cut.

    Args:
        folder: A folder for the store.
        seed: The seed of the random calls and cuts.
        watches: The number of watches.
        patience: The seconds after which a missing marker is a violation.
        cuts: The history continues until each watch was cut off this often.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        watches: int,
        *,
        patience: float = 120,
        cuts: int = 1,
    ) -> None:
        super().__init__(folder, seed, watches, patience=patience)
        self._file = folder / "podium.db"
        self._wanted = cuts
        self._rng_of_cuts = Random(seed)  # noqa: S311 - not secret
        self._proxies: list[CuttingProxy] = []
        self._server: Any = None
        self._saved: Any = None
        self.counts = Counts()

    def _is_over(self, number: int, calls: int) -> bool:
        is_cut = min(proxy.cuts for proxy in self._proxies) >= self._wanted
        return is_cut and super()._is_over(number, calls)

    async def run(self, calls: int, *, restart_every: int = 0, restore_every: int = 0) -> list[str]:
        """Makes calls, as `History.run` does."""
        with patch.multiple(watching, **_SHORT_PAUSES):
            found = await super().run(
                calls, restart_every=restart_every, restore_every=restore_every
            )
        cuts = [proxy.cuts for proxy in self._proxies]
        self.counts.least_cuts, self.counts.cuts = min(cuts), sum(cuts)
        self.counts.marks = sum(judge.marks for judge in self._judges)
        self.counts.revisions, self.counts.lives = len(self._states), self._lives + 1
        return found

    # ---- The server ------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self._proxies:
            await asyncio.to_thread(self._server.start)
        else:
            self._server = await asyncio.to_thread(SpoiledServer, self._file)
            for _ in self._judges:
                self._proxies.append(CuttingProxy(self._server.address, self._rng_of_cuts))
                await self._proxies[-1].start()
        self._way: Any = Wire(self._server.address)
        self._is_open.set()

    async def _close(self) -> None:
        for proxy in self._proxies:
            proxy.close()
        await self._way.close()
        await asyncio.to_thread(self._server.stop)

    async def _restart(self, *, copied: bool) -> None:
        """Kills or stops the server, and starts it again, perhaps with a backup."""
        await self._way.close()
        is_killed = self.counts.kills <= self.counts.stops
        self.counts.kills += is_killed
        self.counts.stops += not is_killed
        await asyncio.to_thread(self._server.kill if is_killed else self._server.stop)
        if copied and self._saved is not None:
            self._restore()
        await self._open()
        await self._note_state()
        await self._settle()
        await self._probe_ahead()
        if copied:
            await self._back_up()

    async def _back_up(self) -> None:
        target = self._folder / "backup.db"
        target.unlink(missing_ok=True)
        await asyncio.to_thread(back_up, self._file, target)
        self._saved = deepcopy(self._model)

    def _restore(self) -> None:
        replace_store(self._file, self._folder / "backup.db")
        self._model = deepcopy(self._saved)
        self._lives += 1
        self.counts.restores += 1

    async def _probe_ahead(self) -> None:
        """Continues a watch after a revision that the server does not have. It must be reset."""
        known = self._judges[0]
        if not self._model.alive:
            return
        judge = Judge(FILTERS[0], lambda *_: True)
        judge.revision, judge.epoch = known.revision + _AHEAD, known.epoch
        await self._read(judge, self._server.address, until=self._model.revision)
        judge.verify(self._state_of)
        self._judges[0].violations += judge.violations

    # ---- The watches -----------------------------------------------------------------------------

    async def _connected(self, judge: Judge) -> None:
        number = self._judges.index(judge)
        address = self._proxies[number].address
        if number % 2:
            await self._use_client(judge, address)
        else:
            await self._read(judge, address)

    async def _read(self, judge: Judge, address: str, until: int | None = None) -> None:
        """Reads the messages of a watch until it is cut off, or the marker `until` comes."""
        async with grpc.aio.insecure_channel(address, CHANNEL) as channel:
            stub: Any = ResultsServiceStub(channel)
            with contextlib.suppress(grpc.RpcError):
                async for response in stub.Watch(judge.request(NAME)):
                    await self._take(judge, response)
                    if response.deleted or (until and response.marker.revision >= until):
                        return

    async def _use_client(self, judge: Judge, address: str) -> None:
        """Watches with the Python client, which connects again by itself after each cut."""
        shown = judge.shown
        state = LiveState()
        async with podium.AsyncClient(address) as client:
            updates: Any = client.experiment(NAME).watch(
                status=[_STATUSES[status] for status in shown.statuses] or None,  # type: ignore[misc]
                group_name=shown.group_name,
                name_prefix=shown.name_prefix,
                with_evals=not shown.without_evals,
                with_series=list(shown.series_keys) or shown.with_series,
            )
            try:
                async with contextlib.aclosing(updates):
                    async for update in updates:
                        if not update.is_deleted:
                            state = state.after(update)
                        await self._take(judge, _response(update))
                        if not update.is_deleted and _names(state) != _kept_names(judge.kept):
                            judge.violations.append("replica: another state than the updates")
            except AbortedError as error:
                judge.violations.append(f"resumable: {error}")
            except NotFoundError:
                judge.forget()
            except UnavailableError as error:
                # Only a watch that has never had a marker gives up.
                if state.marker is not None:
                    judge.violations.append(f"true: the client gave up: {error!r}")
                judge.forget()
            except PodiumError as error:
                judge.violations.append(f"true: the client gave up: {error!r}")


def _response(update: podium.WatchUpdate) -> WatchResponse:
    """Returns an update of the client as a message."""
    if update.marker is None:
        return WatchResponse(deleted=True)
    return WatchResponse(
        reset=update.is_reset,
        removals=map(codec.WATCH_REMOVAL.to_proto, update.removals),
        arms=map(codec.WATCHED_ARM.to_proto, update.arms),
        evals=map(codec.WATCHED_EVAL.to_proto, update.evals),
        series=map(codec.WATCHED_SERIES.to_proto, update.series),
        marker=codec.WATCH_MARKER.to_proto(update.marker),
    )


def _names(state: LiveState) -> tuple[set[Any], set[Any], set[Any]]:
    """Returns the identities of arms, rows and points of a state."""
    rows = {(name, *key) for name, arm in state.arms.items() for key in arm.rows}
    points = {
        (name, key, step)
        for name, arm in state.arms.items()
        for key in arm.points
        for step in arm.series(key).steps
    }
    return set(state.arms), rows, points


def _kept_names(state: State) -> tuple[set[Any], set[Any], set[Any]]:
    return set(state.arms), set(state.rows), set(state.points)
