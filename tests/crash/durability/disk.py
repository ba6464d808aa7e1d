"""A model of a disk that loses power: synced data is kept, other data may be lost.

A `Journal` has all operations of SQLite on its files, in order. A `Disk` applies them, and returns
the files that a power cut after any operation may leave. Each sector has its content at the last
sync of the file, or any later content. Each file has its size at that sync, or any later size. The
folder has its entries at its last sync, or any later entries.

POSIX promises no more than that: unsynced writes reach a disk in any order, in parts, or never. A
sector is written as a whole. SQLite relies on that, too.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import NamedTuple, TypeVar

__all__ = [
    "Create",
    "Delete",
    "Disk",
    "Entry",
    "FailedSync",
    "Journal",
    "Note",
    "Power",
    "Sync",
    "Truncate",
    "Write",
]

_T = TypeVar("_T")

_SECTOR = 512
_SECTORS_A_PAGE = 8
_WHOLE_FILE = -1


class Create(NamedTuple):
    """A new, empty file gets a name."""

    name: str
    file: int


class Write(NamedTuple):
    """Bytes are written to a file."""

    file: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """The size of a file is set."""

    file: int
    size: int


class Sync(NamedTuple):
    """A file is synced. With `folder`, so is its folder, which makes all names in it durable."""

    file: int
    folder: bool


class FailedSync(NamedTuple):
    """A sync fails. As on Linux, later syncs do not write the data that this one should write."""

    file: int


class Delete(NamedTuple):
    """A file is deleted. With `folder`, its folder is synced, so all names in it are durable."""

    name: str
    folder: bool


class Note(NamedTuple):
    """The progress of the workload: how many rounds have begun, and how many are acknowledged."""

    begun: int
    acknowledged: int


Entry = Create | Write | Truncate | Sync | FailedSync | Delete | Note
Journal = list[Entry]


class Power(StrEnum):
    """The effects of a power cut on data that was not synced."""

    DROP = "drop"
    """All of it is lost."""
    KEEP = "keep"
    """All of it is kept, as after SIGKILL."""
    PREFIX = "prefix"
    """The data that was written up to a random moment is kept."""
    PAGES = "pages"
    """Of each page, the data that was written up to a random moment is kept."""
    SECTORS = "sectors"
    """Each sector has a random one of the contents that it had since the sync."""


class _Choice:
    """Chooses the content of one file after a power cut of one kind."""

    def __init__(self, power: Power, random: Random, synced: int, now: int) -> None:
        self._power = power
        self._random = random
        self._moments = defaultdict[int, int](lambda: random.randint(synced, now))

    def of(self, versions: Sequence[tuple[int, _T]], page: int) -> _T:
        """Returns one of the versions that a sector or a size has had since the last sync.

        Each version has the time from which it was valid.
        """
        match self._power:
            case Power.DROP:
                return versions[0][1]
            case Power.KEEP:
                return versions[-1][1]
            case Power.SECTORS:
                return self._random.choice(versions)[1]
        first = versions[0][1]
        moment = self._moments[_WHOLE_FILE if self._power is Power.PREFIX else page]
        return [version for since, version in versions if since <= moment or version is first][-1]

    def unwritten(self) -> bytes:
        """Returns the content of a sector that belongs to the file and was never written."""
        zeros = self._power in {Power.DROP, Power.KEEP, Power.PREFIX}
        return bytes(_SECTOR) if zeros else self._random.randbytes(_SECTOR)


@dataclass
class _File:
    """A file: its content now, and each content of its sectors since its last sync.

    `stuck` has the sectors that a failed sync did not write, unless they were written again. Reads
    return their newest content, but a later sync does not write it to the disk.
    """

    content: bytearray = field(default_factory=bytearray)
    synced: int = -1
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [(-1, 0)])
    sectors: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    stuck: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)

    def write(self, now: int, offset: int, data: bytes) -> None:
        """Writes bytes. A gap before them is filled with zeros."""
        end = offset + len(data)
        touched = self._begin(min(offset, len(self.content)), end)
        if end > len(self.content):
            self.content.extend(bytes(end - len(self.content)))
            self.sizes.append((now, end))
        self.content[offset:end] = data
        self._end(now, touched)

    def truncate(self, now: int, size: int) -> None:
        """Cuts the file, or extends it with zeros."""
        before = len(self.content)
        touched = self._begin(min(size, before), max(size, before))
        self.content[size:] = bytes(max(0, size - before))
        self.sizes.append((now, size))
        self._end(now, touched)

    def sync(self, now: int) -> None:
        """Makes the whole content durable."""
        self.synced = now
        self.sizes = [(now, len(self.content))]
        self.sectors.clear()

    def fail_sync(self) -> None:
        """Marks the unsynced sectors as not written: a later sync does not write them either."""
        self.stuck |= self.sectors
        self.sectors.clear()

    def _begin(self, start: int, end: int) -> range:
        touched = range(start // _SECTOR, -(-end // _SECTOR))
        for sector in touched:
            if sector not in self.sectors:
                now_there = (self.synced, self._sector(sector))
                self.sectors[sector] = self.stuck.pop(sector, [now_there])
        return touched

    def _end(self, now: int, touched: range) -> None:
        for sector in touched:
            self.sectors[sector].append((now, self._sector(sector)))

    def _sector(self, number: int) -> bytes:
        return bytes(self.content[number * _SECTOR : (number + 1) * _SECTOR])

    def left(self, choice: _Choice) -> bytes:
        """Returns the content of the file after a power cut."""
        size = choice.of(self.sizes, _WHOLE_FILE)
        left = bytearray(self.content)
        left.extend(bytes(_round_up(max(size, len(left))) - len(left)))
        for sector, versions in (self.sectors | self.stuck).items():
            content = choice.of(versions, sector // _SECTORS_A_PAGE) or choice.unwritten()
            start = sector * _SECTOR
            if start < size:
                left[start : start + _SECTOR] = content.ljust(_SECTOR, b"\0")
        return bytes(left[:size])


def _round_up(size: int) -> int:
    return -(-size // _SECTOR) * _SECTOR


class Disk:
    """The files and names that the entries of a journal produce."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.note = Note(0, 0)
        self._files: dict[int, _File] = {}
        self._durable_names: dict[str, int] = {}
        self._pending_names: list[Create | Delete] = []
        self._now = 0

    def follow(self, entry: Entry) -> None:
        """Applies an entry of the journal."""
        self._now += 1
        match entry:
            case Create(name, file):
                self._files[file] = _File()
                self.names[name] = file
                self._pending_names.append(entry)
            case Delete(name, folder):
                self.names.pop(name, None)
                self._pending_names.append(entry)
                self._sync_names(folder=folder)
            case Write(file, offset, data):
                self._files[file].write(self._now, offset, data)
            case Truncate(file, size):
                self._files[file].truncate(self._now, size)
            case Sync(file, folder):
                self._files[file].sync(self._now)
                self._sync_names(folder=folder)
            case FailedSync(file):
                self._files[file].fail_sync()
            case Note():
                self.note = entry

    def cut(self, power: Power, random: Random) -> dict[str, bytes]:
        """Returns the files by name after a power cut."""
        return {
            name: self._files[file].left(
                _Choice(power, random, self._files[file].synced, self._now)
            )
            for name, file in self._names_left(power, random).items()
        }

    def _sync_names(self, *, folder: bool) -> None:
        if folder:
            self._durable_names = dict(self.names)
            self._pending_names.clear()

    def _names_left(self, power: Power, random: Random) -> dict[str, int]:
        """Returns the names after a power cut: those at the last sync, with some later changes."""
        happened = len(self._pending_names)
        if power is not Power.KEEP:
            happened = 0 if power is Power.DROP else random.randint(0, happened)
        names = dict(self._durable_names)
        for entry in self._pending_names[:happened]:
            if isinstance(entry, Create):
                names[entry.name] = entry.file
            else:
                names.pop(entry.name, None)
        return names
