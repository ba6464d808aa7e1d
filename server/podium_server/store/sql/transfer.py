"""Copies all results of a store to another one, and compares every row.

Each experiment is read in one consistent state, and written and compared in one transaction. The
table `migrated` of the target has a fingerprint of each copied experiment. So a later run copies
only what has changed, and notices results that did not come from the source.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, NamedTuple

from podium_server.store.contract import StoreError
from podium_server.store.sql import codec
from podium_server.store.sql.connection import Connection
from podium_server.store.sql.dialect import Dialect
from podium_server.store.tokens import TokenRow

__all__ = ["Migration", "ResultTable", "Side", "check_version"]

_BATCH_ROWS, _BATCH_BYTES = 500, 4 * 2**20
_PROGRESS_ROWS = 500_000
_MOST_NAMES = 5
_FINGERPRINT = ("experiments", "streams", "arms")
"""The tables from which a fingerprint is computed.

Whenever a row of any table changes, a row of one of these tables changes too.
"""
_MIGRATED = (
    "CREATE TABLE IF NOT EXISTS migrated "
    "(name TEXT PRIMARY KEY, source TEXT NOT NULL, fingerprint TEXT NOT NULL)"
)
_NAMES = "SELECT name FROM experiments ORDER BY name"
_ID = "SELECT id FROM experiments WHERE name = ?"
_NOTED = "SELECT name, source, fingerprint FROM migrated"
_FORGET = "DELETE FROM migrated WHERE name = ?"
_NOTE = "INSERT INTO migrated (name, source, fingerprint) VALUES (?, ?, ?)"
_STORE = "SELECT id, page_key FROM store"
_PUT_STORE = "UPDATE store SET id = ?, page_key = ?"


class ResultTable(NamedTuple):
    """A table that both stores have.

    Attributes:
        name: The name of the table.
        id_column: The column with the id of the experiment. Stores give it different ids.
        columns: The other columns.
        key: The columns of the primary key, by which rows are ordered.
    """

    name: str
    id_column: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """A store that takes part in a migration.

    Attributes:
        name: The name of the store in messages, without a password.
        connection: A connection to the store.
        dialect: The parts of statements that are written for the store's database.
        begin: The statement that begins a transaction. The transaction of a source reads one
            consistent state, and that of a target writes.
        errors: The exceptions that the store's database raises.
        new_row: Returns the values of the columns that are not copied, such as the id, by column.
            The arguments are the experiment's name, and the id that the experiment had in this
            store before, or None.
    """

    name: str
    connection: Connection
    dialect: Dialect
    begin: str
    errors: tuple[type[Exception], ...]
    new_row: Callable[[str, int | None], Mapping[str, int]]

    def read(self, statement: str, *bindings: Any) -> Iterator[Any]:
        """Yields the rows of a result, which are read when they are needed."""
        with self.named():
            yield from self.connection.execute(statement, bindings)

    def run(self, statement: str, *bindings: Any) -> None:
        """Runs a statement that returns no rows."""
        with self.named():
            self.connection.execute(statement, bindings)

    def write(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement once for each row."""
        with self.named():
            self.connection.executemany(statement, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Runs the block in a transaction, which an error undoes."""
        self.run(self.begin)
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            # A lost connection, or a full disk, has already undone the transaction.
            with contextlib.suppress(StoreError):
                self.run("ROLLBACK")
            raise

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Turns errors of the database in the block into errors that name the store."""
        try:
            yield
        except self.errors as error:
            raise StoreError(f"{self.name}: {error or type(error).__name__}") from error


def check_version(name: str, version: int, current: int) -> None:
    """Raises an error if a store that takes part in a migration has another schema version."""
    if version != current:
        raise StoreError(
            f"{name} has schema version {version}, but this release of Podium copies only version "
            f"{current}; to update the schema, run `podium serve` of this release on it once"
        )


class _DifferentError(Exception):
    """The target returned other rows than were written."""


@dataclass
class Migration:
    """Copies all experiments and tokens that the target does not have in the same state.

    Attributes:
        source: The store to read, which a server may use meanwhile.
        target: A store that is empty, or that earlier runs have filled from this source.
        tables: The tables of results.
        report: Called with a line of progress now and then.
        copied: The number of experiments that were copied.
        unchanged: The number of experiments that an earlier run had copied.
        changed: The experiments that the source changed after they were read.
        differences: An entry for each experiment and table whose rows differ at the target. Such an
            experiment is not stored there, unless an earlier run has copied it.
    """

    source: Side
    target: Side
    tables: Mapping[str, ResultTable]
    report: Callable[[str], None]
    copied: int = 0
    unchanged: int = 0
    changed: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def run(self, *, verify: bool) -> None:
        """Runs the migration.

        Args:
            verify: Whether to also compare the rows of experiments that are not copied.

        Raises:
            StoreError: A database fails, or the target has results of another source.
        """
        names = self._begin()
        for at, name in enumerate(names, 1):
            with self.source.transaction():
                self._migrate(name, f"{at} of {len(names)}", verify=verify)
        self._copy_tokens()
        with self.source.transaction():
            self.changed = [
                name
                for name in self._names(self.source)
                if name not in names or self._has_changed(name)
            ]

    def _has_changed(self, name: str) -> bool:
        """Returns whether the source has changed an experiment after it was copied."""
        return self._noted.get(name, "") not in ("", self._fingerprint(self.source, name))

    def _begin(self) -> Collection[str]:
        """Returns the names of the source's experiments.

        Raises a StoreError if the target is the source, or has results of another source.
        """
        source, target = self.source, self.target
        with source.transaction():
            [(self._id, _)] = source.read(_STORE)
            [epoch] = source.read(source.dialect.identity)
            names = dict.fromkeys(self._names(source))
        with target.transaction():
            if [epoch] == list(target.read(target.dialect.identity)):
                raise StoreError(f"{target.name} is the source itself; name another store")
            target.run(_MIGRATED)
            present = self._names(target)
            noted = {(name, store): fingerprint for name, store, fingerprint in target.read(_NOTED)}
            self._noted = {
                name: noted[name, self._id] for name in present if (name, self._id) in noted
            }
            self._refuse(
                [
                    name
                    for name in present
                    if name not in names or self._noted.get(name) != self._fingerprint(target, name)
                ]
            )
        return names

    def _refuse(self, others: list[str]) -> None:
        """Raises an error if the target has experiments that did not come from the source."""
        if others:
            more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
            raise StoreError(
                f"{self.target.name} has results that did not come from {self.source.name}, or "
                f"that changed after the copy: {', '.join(others[:_MOST_NAMES])}{more}; "
                "give an empty store"
            )

    @staticmethod
    def _names(side: Side) -> list[str]:
        return [name for (name,) in side.read(_NAMES)]

    def _fingerprint(self, side: Side, name: str) -> str:
        [(number,)] = side.read(_ID, name)
        return " ".join(_digest(_rows(side, self.tables[each], number)) for each in _FINGERPRINT)

    def _migrate(self, name: str, place: str, *, verify: bool) -> None:
        """Copies an experiment, unless an earlier run has copied it in its current state."""
        fingerprint = self._fingerprint(self.source, name)
        if self._noted.get(name) == fingerprint:
            self.unchanged += 1
            if verify:
                with self.target.transaction():
                    self._verify(name)
            return
        try:
            with self.target.transaction():
                rows = self._copy(name)
                self.target.run(_FORGET, name)
                self.target.run(_NOTE, name, self._id, fingerprint)
        except _DifferentError:
            return
        self._noted[name] = fingerprint
        self.copied += 1
        self.report(f"{name}: {rows:,} rows copied and compared ({place})")

    def _verify(self, name: str) -> None:
        [(here,)], [(there,)] = self.source.read(_ID, name), self.target.read(_ID, name)
        tables = self.tables.values()
        self._compare(
            name, there, {each: _digest(_rows(self.source, each, here)) for each in tables}
        )

    def _compare(self, name: str, number: int, digests: Mapping[ResultTable, str]) -> bool:
        """Returns whether the target has the rows of the digests.

        Adds an entry to `differences` for each table that differs.
        """
        found = {table: _digest(_rows(self.target, table, number)) for table in digests}
        self.differences += [
            f"{name}: table {table.name} differs: {_count(digest)} rows at the source, "
            f"{_count(found[table])} at the target"
            for table, digest in digests.items()
            if found[table] != digest
        ]
        return found == digests

    def _copy(self, name: str) -> int:
        """Replaces an experiment at the target. Returns the number of its rows."""
        target = self.target
        [(here,)] = self.source.read(_ID, name)
        [before] = [*chain.from_iterable(target.read(_ID, name)), None][:1]
        row = target.new_row(name, before)
        for table in self.tables.values():
            target.run(f"DELETE FROM {table.name} WHERE {table.id_column} = ?", row["id"])
        self._copied_rows = 0
        digests = {
            table: self._put(table, row, _rows(self.source, table, here))
            for table in self.tables.values()
        }
        if not self._compare(name, row["id"], digests):
            raise _DifferentError
        return self._copied_rows

    def _put(self, table: ResultTable, row: Mapping[str, int], rows: Iterator[Any]) -> str:
        """Writes rows of a table. Returns their digest."""
        fixed = row if table.id_column == "id" else {table.id_column: row["id"]}
        columns = (*fixed, *table.columns)
        statement = (
            f"INSERT INTO {table.name} ({', '.join(columns)}) "
            f"VALUES ({', '.join('?' * len(columns))})"
        )
        values = tuple(fixed.values())

        def written() -> Iterator[Any]:
            for batch in _batches(rows):
                self.target.write(statement, [(*values, *each) for each in batch])
                before, self._copied_rows = self._copied_rows, self._copied_rows + len(batch)
                if before // _PROGRESS_ROWS < self._copied_rows // _PROGRESS_ROWS:
                    self.report(f"{self._copied_rows:,} rows so far")
                yield from batch

        return _digest(written())

    def _copy_tokens(self) -> None:
        """Copies the id and the tokens of the store.

        A token that is revoked at the source or at the target is then revoked at the target.
        """
        with self.source.transaction():
            [store] = self.source.read(_STORE)
            tokens = _tokens(self.source)
        with self.target.transaction():
            self.target.run(_PUT_STORE, *store)
            known = _tokens(self.target)
            for token in tokens.values():
                if token.id not in known:
                    self.target.run(codec.PUT_TOKEN, *codec.token_values(token))
                elif token.revoked is not None:
                    self.target.run(codec.REVOKE, token.revoked, token.id)
            found = _tokens(self.target)
        self.differences += [
            f"the token {token.id} differs"
            for token in tokens.values()
            if token not in (found.get(token.id), _unrevoked(found.get(token.id)))
        ]


def _tokens(side: Side) -> dict[str, TokenRow]:
    return {values[0]: codec.token_from(values) for values in side.read(codec.TOKENS)}


def _unrevoked(token: TokenRow | None) -> TokenRow | None:
    return token and replace(token, revoked=None)


def _rows(side: Side, table: ResultTable, number: int) -> Iterator[Any]:
    """Yields the rows of an experiment in the order of their key."""
    return side.read(
        f"SELECT {', '.join(table.columns)} FROM {table.name} "
        f"WHERE {table.id_column} = ? ORDER BY {', '.join(table.key)}",
        number,
    )


def _digest(rows: Iterable[Any]) -> str:
    """Returns the number of rows, and a digest of their order and their values."""
    digest, count = hashlib.blake2b(digest_size=16), 0
    for count, row in enumerate(rows, 1):  # noqa: B007 - the last one counts
        digest.update(repr(row).encode())
    return f"{count}:{digest.hexdigest()}"


def _count(digest: str) -> str:
    return digest.partition(":")[0]


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes | str))
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
