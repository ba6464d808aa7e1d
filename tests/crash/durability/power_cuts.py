"""Simulated power cuts: a store's life is recorded, cut off anywhere, and looked at again.

    python -m tests.crash.durability.power_cuts --images 20000

A life is a number of rounds of calls (`rounds`) on a real store, with kills of the process and
clean stops in between; each time the next process goes on with the round that was not
acknowledged. Everything that the store did to its files is in the journal. For each image the
journal is cut at random and the power with it (`disk`); then a real store opens what is left:

- it opens, and SQLite's own check finds nothing wrong;
- it holds, byte for byte, what it held after some round: nothing is there by half;
- no round that was acknowledged is missing, and none is there that had not begun;
- it goes on: the next round leaves what it left before.
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
"""So few that checkpoints fall into every life many times."""
_ROUNDS = 120
_IMAGES_A_LIFE = 1_000


@dataclass
class Life:
    """A recorded life: its journal, its rounds, and what the store held after each.

    `contents[n]` is what it held after n rounds.
    """

    rounds: list[Round]
    journal: Journal = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)

    def note_content(self, count: int, content: bytes) -> None:
        """Notes the content of the store after a number of rounds, which is always the same."""
        if count == len(self.contents):
            self.contents.append(content)
        elif self.contents[count] != content:
            raise AssertionError(f"round {count - 1}, sent again, left something else")


@dataclass
class Report:
    """The findings. `lost`: an acknowledged round is missing; `corrupt`: everything else."""

    images: int = 0
    lost: int = 0
    corrupt: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    def note(self, what: str, how: str, where: str) -> None:
        """Counts something wrong."""
        self.lost += what == "lost"
        self.corrupt += what != "lost"
        if len(self.samples) < 10:
            self.samples.append(f"{what}: {how} ({where})")

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        figures = f"{self.images} images ({kinds}): {self.lost} lost, {self.corrupt} corrupt"
        return "\n  ".join((figures, *self.samples))


async def live(seed: int, synchronous: str = "full", count: int = _ROUNDS) -> Life:
    """Records a number of rounds, with kills and clean stops at random."""
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
    """One process: begins with the round that was not acknowledged; a failed sync ends it."""
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
    """Whether the disk is full or fails while the next round is written."""

    faults: Faults
    random: Random

    def turn(self) -> None:
        """Decides the call again."""
        self.faults.write = self.random.random() < 0.04
        self.faults.sync = self.random.random() < 0.02


def _kill_point(journal: Journal, begin: int, random: Random) -> int:
    """Chooses where a kill ends a process: anywhere, or with a commit written and not synced."""
    written = [i for i in range(begin, len(journal)) if isinstance(journal[i], Sync)]
    failed = [i + 1 for i in range(begin, len(journal)) if isinstance(journal[i], FailedSync)]
    if failed and random.random() < 0.5:
        return random.choice(failed)
    if written and random.random() < 0.5:
        return random.choice(written)
    return random.randint(begin, len(journal))


async def check_images(life: Life, count: int, seed: int, report: Report) -> None:
    """Cuts the power of a recorded run many times, and checks each image."""
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
    """Chooses where the power is cut: anywhere, or just after a round was acknowledged."""
    cut = random.randint(0, len(journal))
    if random.random() < 0.3:
        while cut < len(journal) and not isinstance(journal[cut - 1], Note):
            cut += 1
    return cut


async def _look(life: Life, folder: Path, note: Note) -> tuple[str, str] | None:
    """Opens the image of a power cut. Returns its problem, if there is one."""
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
    """Sends the next round."""
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
    """Looks at so many images, of as many lives as they take."""
    report, random = Report(), Random(seed)  # noqa: S311 - no secret
    with without_syncs():
        while report.images < images:
            life = await live(random.randrange(2**32), synchronous)
            count = min(_IMAGES_A_LIFE, images - report.images)
            await check_images(life, count, random.randrange(2**32), report)
    return report


def main() -> int:
    """The command."""
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
