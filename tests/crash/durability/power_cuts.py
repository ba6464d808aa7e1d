"""Simulates power cuts: records the file operations of a store, and opens what a cut leaves.

    python -m tests.crash.durability.power_cuts --images 20000

A life is a series of rounds of calls (see `rounds`) on a real store. In between, the process is
killed or stopped, and the next one begins with the round that was not acknowledged. The journal has
every operation of the store on its files.

An image is the content of the disk after a power cut at a random place in the journal (see `disk`).
A real store opens each image. These statements must be true:

- The store opens, and SQLite's own check finds no damage.
- Byte for byte, it has the content after some round. So no round is applied in part.
- It has every acknowledged round, and no round that had not begun.
- It accepts the next round, with the same result as before.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

import apsw
from podium.errors import ResourceExhaustedError, UnavailableError
from podium_server.store.contract import StoreError
from podium_server.store.sqlite import SqliteStore

from tests.crash.durability.disk import Disk, FailedSync, Journal, Note, Power, Sync
from tests.crash.durability.recorder import Faults, recording, without_syncs
from tests.crash.durability.rounds import Round, content_of, rounds, send

__all__ = ["Life", "Report", "check_images", "cut_power", "live", "main"]

_FILE = "podium.db"
_CHECKPOINT_PAGES = 40
"""The number of pages between two checkpoints. It is small, so each life has many checkpoints."""
_ROUNDS = 120
_IMAGES_A_LIFE = 1_000


@dataclass
class Life:
    """A recorded life: its rounds, its journal, and the content of the store after each round.

    `contents[n]` is the content after n rounds.
    """

    rounds: list[Round]
    journal: Journal = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)

    def note_content(self, count: int, content: bytes) -> None:
        """Keeps the content after `count` rounds. Raises an error if it was different before."""
        if count == len(self.contents):
            self.contents.append(content)
        elif self.contents[count] != content:
            raise AssertionError(f"round {count - 1}, sent again, left something else")


@dataclass
class Report:
    """The findings: `lost` counts missing acknowledged rounds, and `corrupt` all other faults."""

    images: int = 0
    lost: int = 0
    corrupt: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    def note(self, what: str, how: str, where: str) -> None:
        """Counts a finding."""
        self.lost += what == "lost"
        self.corrupt += what != "lost"
        if len(self.samples) < 10:
            self.samples.append(f"{what}: {how} ({where})")

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        figures = f"{self.images} images ({kinds}): {self.lost} lost, {self.corrupt} corrupt"
        return "\n  ".join((figures, *self.samples))


async def live(seed: int, synchronous: str = "full", count: int = _ROUNDS) -> Life:
    """Records a life with `count` rounds. Kills or stops the process at random places."""
    life, random = Life(rounds(seed, count)), Random(seed)  # noqa: S311 - no secret
    while (done := _last_note(life.journal).acknowledged) < count:
        begin, end = len(life.journal), min(count, done + random.randint(5, 60))
        with tempfile.TemporaryDirectory() as folder, recording(life.journal) as faults:
            _write(Path(folder), _disk_after(life.journal).cut(Power.KEEP, random))
            store = SqliteStore(Path(folder) / _FILE)
            await _open(life, store, synchronous)
            await _process(life, store, end, _Weather(faults, random))
            await store.close()
        if end < count and random.random() < 0.8:
            del life.journal[_kill_point(life.journal, begin, random) :]
    return life


async def _open(life: Life, store: SqliteStore, synchronous: str) -> None:
    await store.open()
    store._writing.pragma("synchronous", synchronous)
    store._file.checkpoint_pages = _CHECKPOINT_PAGES
    if not life.contents:
        life.contents.append(content_of(store._reading))


async def _process(life: Life, store: SqliteStore, end: int, weather: "_Weather") -> None:
    """Sends rounds, from the first that is not acknowledged to `end`. Ends at a failed sync."""
    number = _last_note(life.journal).acknowledged
    while number < end:
        life.journal.append(Note(begun=number + 1, acknowledged=number))
        weather.turn()
        try:
            await send(store, life.rounds[number])
        except ResourceExhaustedError:
            continue
        except UnavailableError:
            return
        number += 1
        life.journal.append(Note(begun=number, acknowledged=number))
        life.note_content(number, content_of(store._reading))


@dataclass
class _Weather:
    """Decides whether the disk is full, or fails, while the next round is written."""

    faults: Faults
    random: Random

    def turn(self) -> None:
        """Decides for the next round."""
        self.faults.write = self.random.random() < 0.04
        self.faults.sync = self.random.random() < 0.02


def _kill_point(journal: Journal, begin: int, random: Random) -> int:
    """Returns a kill's place in the journal: before a sync, after a failed one, or anywhere."""
    written = [i for i in range(begin, len(journal)) if isinstance(journal[i], Sync)]
    failed = [i + 1 for i in range(begin, len(journal)) if isinstance(journal[i], FailedSync)]
    if failed and random.random() < 0.5:
        return random.choice(failed)
    if written and random.random() < 0.5:
        return random.choice(written)
    return random.randint(begin, len(journal))


async def check_images(life: Life, count: int, seed: int, report: Report) -> None:
    """Cuts the power of a recorded life `count` times, and checks each image."""
    random, disk, followed = Random(seed), Disk(), 0  # noqa: S311 - no secret
    for cut in sorted(_cut_point(life.journal, random) for _ in range(count)):
        for entry in life.journal[followed:cut]:
            disk.follow(entry)
        followed = cut
        power = random.choice(list(Power))
        report.images += 1
        report.kinds[power] += 1
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), disk.cut(power, random))
            found = await _look(life, Path(folder), disk.note)
        if found is not None:
            report.note(*found, f"seed {seed}, entry {cut}, {power}")


def _cut_point(journal: Journal, random: Random) -> int:
    """Returns the place of a power cut: anywhere, or just after a round was acknowledged."""
    cut = random.randint(0, len(journal))
    if random.random() < 0.3:
        while cut < len(journal) and not isinstance(journal[cut - 1], Note):
            cut += 1
    return cut


async def _look(life: Life, folder: Path, note: Note) -> tuple[str, str] | None:
    """Opens the image of a power cut. Returns its fault, or None."""
    store = SqliteStore(folder / _FILE)
    try:
        await store.open()
    except (StoreError, apsw.Error) as error:
        return "corrupt", f"it does not open: {error!r}"
    try:
        return await _look_into(life, store, note)
    except apsw.Error as error:
        return "corrupt", f"it cannot be read: {error!r}"
    finally:
        await store.close()


async def _look_into(life: Life, store: SqliteStore, note: Note) -> tuple[str, str] | None:
    check = store._reading.pragma("integrity_check")
    if check != "ok":
        return "corrupt", f"integrity_check: {check}"
    content = content_of(store._reading)
    if content in life.contents[note.acknowledged : note.begun + 1]:
        return await _go_on(life, store, content)
    if content in life.contents[: note.acknowledged]:
        return "lost", f"{life.contents.index(content)} rounds, {note}"
    return "corrupt", f"not what it was after any round that had begun, {note}"


async def _go_on(life: Life, store: SqliteStore, content: bytes) -> tuple[str, str] | None:
    """Sends the next round. Returns a fault, or None if the store then has the expected content."""
    held = life.contents.index(content)
    if held == len(life.rounds):
        return None
    await send(store, life.rounds[held])
    if content_of(store._reading) == life.contents[held + 1]:
        return None
    return "corrupt", f"it does not go on from round {held}"


def _last_note(journal: Journal) -> Note:
    notes = (entry for entry in reversed(journal) if isinstance(entry, Note))
    return next(notes, Note(begun=0, acknowledged=0))


def _disk_after(journal: Journal) -> Disk:
    disk = Disk()
    for entry in journal:
        disk.follow(entry)
    return disk


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


async def cut_power(images: int, seed: int, synchronous: str = "full") -> Report:
    """Checks a number of images. One life gives at most 1,000 of them."""
    report, random = Report(), Random(seed)  # noqa: S311 - no secret
    with without_syncs():
        while report.images < images:
            life = await live(random.randrange(2**32), synchronous)
            count = min(_IMAGES_A_LIFE, images - report.images)
            await check_images(life, count, random.randrange(2**32), report)
    return report


def main() -> int:
    """Runs the command. Returns 1 if there are findings."""
    parser = argparse.ArgumentParser(description="Simulated power cuts of the SQLite store.")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument("--synchronous", choices=("full", "normal", "off"), default="full")
    arguments = parser.parse_args()
    logging.disable()
    begin = time.monotonic()
    sys.stdout.write(f"seed {arguments.seed}, synchronous {arguments.synchronous}\n")
    report = asyncio.run(cut_power(arguments.images, arguments.seed, arguments.synchronous))
    sys.stdout.write(f"{report}, {time.monotonic() - begin:.0f} s\n")
    return 1 if report.lost or report.corrupt else 0


if __name__ == "__main__":
    sys.exit(main())
