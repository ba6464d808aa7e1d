"""Random histories of an experiment, and watches of it that are cut off again and again."""

import asyncio
import contextlib
import shutil
from pathlib import Path
from random import Random

from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.results_service_pb2 import WatchResponse
from podium_server.api.watch import Watches
from podium_server.store.open import open_store

from tests.server.store.test_derived import follow
from tests.server.watch.judge import Filter, Judge, State
from tests.server.watch.states import NAME, read_state
from tests.server.writes.naive_state import Experiment
from tests.server.writes.random_calls import random_call
from tests.server.writes.ways import Direct

__all__ = ["FILTERS", "History"]

FILTERS = (
    Filter(with_series=True),
    Filter(name_prefix="a", with_series=True, series_keys=("loss", "x")),
    Filter(statuses=(3,)),
    Filter(statuses=(2, 4), without_evals=True),
    Filter(group_name="g", with_series=True),
    Filter(group_name="x", statuses=(2, 3)),
)
_SETTLE_EVERY = 3
_CUT_AFTER = (1, 1, 2, 3, 5, 200)
"""The numbers of messages after which a watch is cut off. The last one lets a state through."""


class History:
    """An experiment that changes, and its watches.

    Args:
        folder: A folder for the store.
        seed: The seed of the random calls and cuts. Equal seeds make equal calls.
        watches: The number of watches.
        patience: The seconds after which a missing marker is a violation.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        watches: int,
        *,
        patience: float = 60,
    ) -> None:
        self._folder = folder
        # Two generators, so that the calls do not depend on how the watches are cut off.
        self._rng, self._cuts = Random(seed), Random(seed)  # noqa: S311 - not secret
        self._patience = patience
        self._model = Experiment()
        self._states: dict[tuple[int, int], State] = {}
        self._lives = 0
        self._life_of: dict[str, int] = {}
        self._marked = asyncio.Condition()
        self._is_open = asyncio.Event()
        self._connections = 0
        self._judges = [
            Judge(FILTERS[number % len(FILTERS)], self._is_other_epoch) for number in range(watches)
        ]
        self.cuts = 0

    async def run(self, calls: int, *, restart_every: int = 0, restore_every: int = 0) -> list[str]:
        """Makes calls. Returns the violations of all watches.

        Args:
            calls: The number of calls.
            restart_every: The number of calls between two restarts of the store, or 0 for none.
            restore_every: The number of calls between two replacements of the file by a copy, or 0.
        """
        await self._open()
        tasks = [asyncio.create_task(self._watch(judge)) for judge in self._judges]
        try:
            number = 0
            while not self._is_over(number, calls):
                number += 1
                await self._call()
                if restore_every and number % restore_every == 0:
                    await self._restart(copied=True)
                elif restart_every and number % restart_every == 0:
                    await self._restart(copied=False)
                # A new or restored experiment has a new epoch, which its first marker shows.
                if number % _SETTLE_EVERY == 0 or self._lives not in self._life_of.values():
                    await self._settle()
                if self._violations():
                    break
            await self._settle()
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        failed = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
        return [*self._violations(), *map(repr, failed)]

    def _is_over(self, number: int, calls: int) -> bool:
        return number >= calls

    def _violations(self) -> list[str]:
        return [violation for judge in self._judges for violation in judge.violations]

    # ---- The experiment ------------------------------------------------------------------------

    async def _open(self) -> None:
        url = f"sqlite:///{self._folder / 'podium.db'}"
        self._store = await open_store(url, on_broken=lambda: None)
        self._way = Direct(self._store, Limits())
        self._watches = Watches(self._store)
        self._is_open.set()

    async def _close(self) -> None:
        await self._store.close()

    async def _restart(self, *, copied: bool) -> None:
        self._is_open.clear()
        self._watches.stop()
        while self._connections:  # noqa: ASYNC110 - until the last one has left
            await asyncio.sleep(0.001)
        await self._close()
        if copied:
            file = self._folder / "podium.db"
            shutil.copyfile(file, self._folder / "copy.db")
            (self._folder / "copy.db").replace(file)
            self._lives += 1
        await self._open()
        await self._note_state()

    async def _call(self) -> None:
        request = random_call(self._rng, self._model, NAME)
        with contextlib.suppress(PodiumError):
            await self._way.call(type(request).__name__.removesuffix("Request"), request)
            was_alive = self._model.alive
            follow(self._model, request)
            self._lives += was_alive and not self._model.alive
            await self._note_state()

    async def _note_state(self) -> None:
        revision, state = await read_state(self._way)
        if revision:
            self._states[self._lives, revision] = state

    def _is_other_epoch(self, _revision: int, epoch: str) -> bool:
        return self._life_of.get(epoch) != self._lives

    # ---- The watches ---------------------------------------------------------------------------

    async def _watch(self, judge: Judge) -> None:
        """Watches for ever. Each connection is cut off after some messages."""
        while True:
            await self._is_open.wait()
            self._connections += 1
            try:
                with contextlib.suppress(PodiumError):
                    await self._connected(judge)
            finally:
                self._connections -= 1
            await asyncio.sleep(0)
            if not self._model.alive:
                judge.forget()
                await asyncio.sleep(0.001)

    async def _connected(self, judge: Judge) -> None:
        left = self._cuts.choice(_CUT_AFTER)
        watches = self._watches
        async with contextlib.aclosing(watches.watch(judge.request(NAME))) as responses:
            async for raw in responses:
                response = WatchResponse.FromString(raw)
                await self._take(judge, response)
                left -= 1
                if not left or response.deleted:
                    self.cuts += 1
                    return

    async def _take(self, judge: Judge, response: WatchResponse) -> None:
        if response.HasField("marker"):
            self._life_of.setdefault(response.marker.epoch, self._lives)
        judge.take(response)
        async with self._marked:
            self._marked.notify_all()

    async def _settle(self) -> None:
        """Waits until each watch has a marker of the current revision, and judges them."""
        if self._model.alive:
            revision = self._model.revision
            try:
                async with asyncio.timeout(self._patience), self._marked:
                    await self._marked.wait_for(lambda: self._is_settled(revision))
            except TimeoutError:
                late = [judge for judge in self._judges if judge.revision != revision]
                for judge in late:
                    judge.violations.append(f"true: no marker of {revision} for {judge.shown}")
        for judge in self._judges:
            judge.verify(self._state_of)

    def _state_of(self, revision: int, epoch: str) -> State | None:
        return self._states.get((self._life_of[epoch], revision))

    def _is_settled(self, revision: int) -> bool:
        return bool(self._violations()) or all(judge.revision == revision for judge in self._judges)
