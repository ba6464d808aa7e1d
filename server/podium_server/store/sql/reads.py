"""The reads of SQL stores: single rows and scores, pages of lists, and matrices of scores."""

import json
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from podium_server.errors import unknown_arm, unknown_experiment
from podium_server.store.calls import Subject
from podium_server.store.changes import ChangedRow
from podium_server.store.contract import ChangeListener, Page, PageLimits
from podium_server.store.filters import ArmFilter, EvalFilter, ExperimentFilter, SeriesFilter
from podium_server.store.ranking_queries import ScoreMatrix
from podium_server.store.rows import PART_NAMES, ArmRow, ArmView, ExperimentRow, Points, Score
from podium_server.store.sql import codec
from podium_server.store.sql.connection import Connection, fetch, fetch_value
from podium_server.store.sql.dialect import Dialect
from podium_server.store.sql.lists import (
    arms_query,
    evals_query,
    experiments_query,
    fill_page,
    within,
)
from podium_server.store.sql.points import points_page

__all__ = ["Reader"]

_PLACES_LIMIT = 10_000
"""The most arms whose places are cached: see `Reader._find_place`."""
_Candidates = Sequence[tuple[str | None, str]]

_PLACE = (
    "SELECT a.experiment, a.ordinal FROM experiments x "
    "JOIN arms a ON a.experiment = x.id AND a.name = ?2 WHERE x.name = ?1 AND x.deleted = 0"
)
_EVAL = (
    "SELECT content, stamp FROM evals WHERE experiment = ? AND arm = ? AND name = ? "
    "ORDER BY post DESC, step DESC LIMIT 1"
)
_EVAL_AT = (
    "SELECT content, stamp FROM evals "
    "WHERE experiment = ? AND arm = ? AND name = ? AND post = 0 AND step = ?"
)
_SCORE = (
    "SELECT s.value, s.origin, s.step, s.eval_name FROM scores s "
    "WHERE s.experiment = ? AND s.arm = ? AND s.eval_name = ? AND s.key = ?"
)
_BARE_SCORE = (
    "SELECT s.value, s.origin, s.step, a.primary_name FROM scores s "
    "JOIN arms a ON a.experiment = s.experiment AND a.ordinal = s.arm "
    "WHERE s.experiment = ? AND s.arm = ? AND s.eval_name = '' AND s.key = ?"
)
"""Finds a bare score (one without an eval name), and the name of the arm's primary eval."""
_EXPERIMENT = (
    f"SELECT {codec.EXPERIMENT_COLUMNS}, c.content FROM experiments x "
    "LEFT JOIN experiment_contents c ON c.experiment = x.id WHERE name = ? AND deleted = 0"
)
_ROW_COUNT = "SELECT CAST(sum(row_count) AS BIGINT) FROM experiments WHERE "
_PARTS = (
    "SELECT part, content FROM arm_parts "
    "WHERE experiment = ? AND arm = ? AND part NOT IN ('series', 'values')"
)
_ARM_AT = f"SELECT {codec.ARM_COLUMNS} FROM arms WHERE experiment = ? AND ordinal = ?"
_ROW_AT = (
    "SELECT position, content, stamp FROM evals "
    "WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_LISTED_COLUMNS = "ordinal, name, status, group_name, tags"


class Reader(ChangeListener):
    """Reads on its own connection. Each read sees one committed state.

    If the reader is notified of each commit (`may_share`), all reads between two commits share a
    transaction. This is faster, because beginning a transaction takes longer than looking up a row.
    Otherwise each read has its own transaction.
    """

    def __init__(
        self, connection: Connection, dialect: Dialect, *, may_share: bool = False
    ) -> None:
        self.connection = connection
        self.dialect = dialect
        self._may_share = may_share
        self._execute = connection.execute
        self._commits = 0
        self._shares = False
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self.watched = ()

    def store_id(self) -> str:
        """Returns the id of the store."""
        return str(fetch_value(self.connection, "SELECT id FROM store"))

    def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """Returns the encoded row of an eval, or None if there is none: see `Store.eval`."""
        self._share_state()
        known = self._places.get((experiment, arm))
        found = None if known is None else self._eval(known, name, step)
        if found is not None:
            return found
        with self.one_state():
            place = self._find_place(experiment, arm)
            return self._eval(place, name, step)

    def _eval(self, place: tuple[int, int], name: str, step: int | None) -> bytes | None:
        if step is None:
            found = fetch(self.connection, _EVAL, (*place, name))
        else:
            found = fetch(self.connection, _EVAL_AT, (*place, name, step))
        for content, stamp in found:
            return content + stamp  # type: ignore[no-any-return]
        return None

    def score(self, experiment: str, arm: str, candidates: _Candidates) -> Score | None:
        """Returns the score of the first candidate that has one, or None.

        This usually takes one statement.
        """
        self._share_state()
        known = self._places.get((experiment, arm))
        found = None if known is None else self._score(known, *candidates[0])
        if found is not None:
            return found
        with self.one_state():
            place = self._find_place(experiment, arm)
            scores = (self._score(place, name, key) for name, key in candidates)
            return next((score for score in scores if score is not None), None)

    def _score(self, place: tuple[int, int], name: str | None, key: str) -> Score | None:
        if name is None:
            found = fetch(self.connection, _BARE_SCORE, (*place, key))
        else:
            found = fetch(self.connection, _SCORE, (*place, name, key))
        for value, origin, step, eval_name in found:
            entry = codec.score_from(value, origin, step)
            return Score(entry, key, eval_name if codec.is_of_row(origin) else None)
        return None

    def _find_place(self, experiment: str, arm: str) -> tuple[int, int]:
        """Returns the place of an arm's rows: the experiment's id and the arm's ordinal. Caches it.

        A place is never used for another arm, and deleting an arm deletes its rows. So rows at a
        cached place belong to the arm. If there are no rows, the place is looked up again.
        """
        for place in fetch(self.connection, _PLACE, (experiment, arm)):
            if len(self._places) >= _PLACES_LIMIT:
                self._places.clear()
            self._places[experiment, arm] = place
            return place
        self.experiment(experiment)
        raise unknown_arm(experiment, arm)

    def arm(self, experiment: str, arm: str, limits: PageLimits) -> tuple[ArmView, Page[bytes]]:
        """Returns an arm and the first page of its rows."""
        with self.one_state():
            identity, row = self._find_arm(experiment, arm)
            view = self.view(identity, row)
            return view, _contents(self._rows_of(identity, row, -1, limits, EvalFilter()))

    def arms(
        self, experiment: str, after: int, limits: PageLimits, shown: ArmFilter
    ) -> Page[ArmView]:
        """Returns a page of arms in order of creation, after the arm with the ordinal `after`."""
        with self.one_state():
            found = self.experiment(experiment)
            return fill_page(
                self.connection,
                arms_query(self.dialect, found.id, after, shown, codec.ARM_COLUMNS),
                lambda columns: self.view(found.id, codec.arm_from(columns)),
                lambda view: view.size,
                limits,
                found.revision,
                partial(self.views_ahead, found.id),
            )

    def evals(
        self, experiment: str, arm: str, after: int, limits: PageLimits, shown: EvalFilter
    ) -> Page[bytes]:
        """Returns a page of encoded eval rows after a position, in order of acceptance."""
        with self.one_state():
            found = self._find_arm(experiment, arm)
            return _contents(self._rows_of(*found, after, limits, shown))

    def rows(self, experiment: str, arm: str, after: int, limits: PageLimits) -> Page[ChangedRow]:
        """Returns a page of eval rows, in order of acceptance, after the position `after`."""
        with self.one_state():
            return self._rows_of(*self._find_arm(experiment, arm), after, limits, EvalFilter())

    def series(
        self, experiment: str, arm: str, first: int, limits: PageLimits, shown: SeriesFilter
    ) -> Page[Points]:
        """Returns a page of the points of an arm's training series, beginning at a step."""
        with self.one_state():
            identity, row = self._find_arm(experiment, arm)
            place = (identity, row.ordinal)
            return points_page(self.connection, place, first, limits, shown, row.revision)

    def experiments(
        self, after: str, limits: PageLimits, shown: ExperimentFilter
    ) -> Page[ExperimentRow]:
        """Returns a page of experiments in order of their names, after the name `after`."""
        with self.one_state():
            return fill_page(
                self.connection,
                experiments_query(self.dialect, after, shown, codec.EXPERIMENT_COLUMNS),
                self._with_content,
                lambda row: len(row.content or b""),
                limits,
                0,
                self.contents_ahead,
            )

    def _with_content(self, columns: Sequence[Any]) -> ExperimentRow:
        row = codec.experiment_from(columns)
        row.content = self.content(row.id)
        return row

    def content(self, experiment: int | None) -> bytes:
        """Returns the encoded message of an experiment."""
        return fetch_value(self.connection, codec.FIND_CONTENT, (experiment,)) or b""

    def _rows_of(
        self, experiment: int, arm: ArmRow, after: int, limits: PageLimits, shown: EvalFilter
    ) -> Page[ChangedRow]:
        place = (experiment, arm.ordinal)

        def load(columns: Sequence[Any]) -> ChangedRow:
            position, *key = columns
            at, content = codec.key_from(*key), self._encoded(place, key)
            return ChangedRow(arm.name, at, content, position, arm.status, arm.group_name)

        return fill_page(
            self.connection,
            evals_query(*place, after, shown),
            load,
            lambda row: len(row.content),
            limits,
            arm.revision,
            partial(self.rows_ahead, place),
        )

    def experiment(self, experiment: str) -> ExperimentRow:
        """Returns an experiment with its content."""
        found = fetch(self.connection, _EXPERIMENT, (experiment,))
        if not found:
            raise unknown_experiment(experiment)
        *row, content = found[0]
        return codec.experiment_from(row, content or b"")

    def row_count(self, prefixes: Sequence[str]) -> int:
        """Returns the number of stored rows of some experiments: see `Store.row_count`."""
        where, bindings = within(prefixes) if prefixes else ("name >= ''", ())
        return fetch_value(self.connection, _ROW_COUNT + where, bindings) or 0

    def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        shown: ArmFilter,
        metrics: Sequence[_Candidates],
    ) -> ScoreMatrix:
        """Returns a page of arms with their scores on each metric."""
        with self.one_state():
            row = self.experiment(experiment)
            page = fill_page(
                self.connection,
                arms_query(self.dialect, row.id, after, shown, _LISTED_COLUMNS),
                codec.listed_arm,
                lambda arm: len(arm.name) + len(arm.group_name or ""),
                limits,
                row.revision,
            )
            ordinals = [arm.ordinal for arm in page.items]
            columns = [self._score_column(row.id or 0, ordinals, places) for places in metrics]
            return ScoreMatrix(page.items, columns, page.next, page.revision)

    def _score_column(
        self, experiment: int, ordinals: Sequence[int], candidates: _Candidates
    ) -> tuple[list[float], list[bool]]:
        """Returns the score of each arm (0 if it has none), and whether each arm has one."""
        found: dict[int, int] = {}
        for name, key in candidates:
            wanted = [ordinal for ordinal in ordinals if ordinal not in found]
            if not wanted:
                break
            place = (experiment, json.dumps(wanted), name or "", key)
            found.update(fetch(self.connection, self.dialect.score_column, place))
        bits = [found.get(ordinal, 0) for ordinal in ordinals]
        size = len(ordinals)
        values = struct.unpack(f"<{size}d", struct.pack(f"<{size}q", *bits))
        return list(values), [ordinal in found for ordinal in ordinals]

    def _find_arm(self, experiment: str, name: str) -> tuple[int, ArmRow]:
        identity = self.experiment(experiment).id or 0
        found = fetch(self.connection, codec.FIND_ARM, (identity, name))
        if not found:
            raise unknown_arm(experiment, name)
        return identity, codec.arm_from(found[0])

    def view(self, experiment: int | None, row: ArmRow) -> ArmView:
        """Returns an arm with its parts and the content of its primary row."""
        place = (experiment or 0, row.ordinal)
        parts = dict.fromkeys(PART_NAMES, b"") | self.parts(place)
        primary: bytes | None = None
        if row.primary is not None:
            _, primary, _ = self.row(place, codec.key_values(row.primary))
        return ArmView(row, parts, primary)

    def _encoded(self, place: tuple[int, int], key: Sequence[Any]) -> bytes:
        """Returns the encoded row with a key. The key is given as column values."""
        _, content, stamp = self.row(place, key)
        return content + stamp

    def parts(self, place: tuple[int, int]) -> dict[str, bytes]:
        """Returns the parts of an arm by name, without those that only the store uses."""
        return dict(fetch(self.connection, _PARTS, place))

    def row(self, place: tuple[int, int], key: Sequence[Any]) -> tuple[int, bytes, bytes]:
        """Returns the position, content and stamp (see `EvalRow`) of the row with a key."""
        [found] = fetch(self.connection, _ROW_AT, (*place, *key))
        return found

    def arm_at(self, experiment: int, ordinal: int) -> ArmRow:
        """Returns the arm with an ordinal."""
        [columns] = fetch(self.connection, _ARM_AT, (experiment, ordinal))
        return codec.arm_from(columns)

    # A store whose statements take long overrides these methods, to load the data of several rows
    # at once. Each yields what it is given.

    def views_ahead(self, _experiment: int | None, arms: Iterable[Any]) -> Iterable[Any]:
        """Yields the columns of arms unchanged. The caller reads the views of these arms next."""
        return arms

    def rows_ahead(self, _place: tuple[int, int], rows: Iterable[Any]) -> Iterable[Any]:
        """Yields the positions and keys of rows unchanged. The caller reads these rows next."""
        return rows

    def contents_ahead(self, experiments: Iterable[Any]) -> Iterable[Any]:
        """Yields the columns of experiments unchanged. The caller reads their contents next."""
        return experiments

    def changes_ahead(self, _experiment: int, changes: Iterable[Any]) -> Iterable[Any]:
        """Yields the places of changes unchanged. The caller reads the changed arms next."""
        return changes

    def changing(self, _subjects: Collection[Subject]) -> None:
        """Ends the transaction that reads share, so that SQLite can reuse the log."""
        self._commits += 1
        if self._shares:
            self._execute("COMMIT")
            self._shares = False

    def changed(self, _subjects: Collection[Subject]) -> None:
        """Lets reads share a transaction again."""
        self._commits -= 1

    def _share_state(self) -> None:
        """Begins the transaction that reads share until the next commit."""
        if self._may_share and not (self._shares or self._commits):
            self._execute("BEGIN")
            self._shares = True

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """Makes all statements of the block read the same committed state."""
        self._share_state()
        if self._shares:
            yield
            return
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")


def _contents(page: Page[ChangedRow]) -> Page[bytes]:
    return Page([row.content for row in page.items], page.next, page.revision)
