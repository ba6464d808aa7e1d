"""The reads of the SQLite store: point reads, and pages by keyset."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

import apsw

from podium_server.errors import unknown_arm, unknown_experiment
from podium_server.store.contract import ArmView, ChangeListener, Page, PageLimits, Subject
from podium_server.store.rows import PART_NAMES, ArmRow, EvalKey, ExperimentRow, Score
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch, fetch_value

__all__ = ["Query", "Reader"]

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P", int, str)

_PLACES_LIMIT = 10_000
"""How many places of arms are remembered at most."""
_SCAN_ROWS = 2_000
"""How many rows a page looks at before it ends and says where to go on."""

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
    "SELECT s.value, s.origin, s.step FROM scores s "
    "WHERE s.experiment = ? AND s.arm = ? AND s.eval_name = ? AND s.key = ?"
)
_BARE_SCORE = (
    "SELECT s.value, s.origin, s.step, a.primary_name FROM scores s "
    "JOIN arms a ON a.experiment = s.experiment AND a.ordinal = s.arm "
    "WHERE s.experiment = ? AND s.arm = ? AND s.eval_name = '' AND s.key = ?"
)
"""Of a bare score the primary eval is asked as well, at the price of one more look-up."""
_EXPERIMENT = (
    f"SELECT {codec.EXPERIMENT_COLUMNS}, c.content FROM experiments x "
    "LEFT JOIN experiment_contents c ON c.experiment = x.id WHERE name = ? AND deleted = 0"
)
_EXPERIMENTS = (
    f"SELECT {codec.EXPERIMENT_COLUMNS}, c.content FROM experiments x "
    "LEFT JOIN experiment_contents c ON c.experiment = x.id WHERE name {after} ? ORDER BY name"
)
_EXPERIMENTS_AFTER = _EXPERIMENTS.format(after=">")
_EXPERIMENTS_FROM = _EXPERIMENTS.format(after=">=")
_ARM = f"SELECT {codec.ARM_COLUMNS} FROM arms WHERE experiment = ? AND name = ?"
_ARMS = (
    f"SELECT {codec.ARM_COLUMNS} FROM arms WHERE experiment = ? AND ordinal > ? ORDER BY ordinal"
)
_PARTS = "SELECT part, content FROM arm_parts WHERE experiment = ? AND arm = ?"
_EVAL_OF = (
    "SELECT content FROM evals "
    "WHERE experiment = ? AND arm = ? AND name = ? AND post = ? AND step = ?"
)
_ROW_PLACES = (
    "SELECT position, name, post, step FROM evals INDEXED BY evals_by_position "
    "WHERE experiment = ? AND arm = ? AND position > ? ORDER BY position"
)
_EVAL_BYTES = _EVAL_OF.replace("content", "content, stamp", 1)


class Reader(ChangeListener):
    """Reads on a connection of its own: each sees one committed state.

    From one commit to the next nothing changes, so reads share one transaction then: to begin
    one costs more than a point read. While a commit is under way each has its own.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._commits = 0
        self._shares = False
        self._places: dict[tuple[str, str], tuple[int, int]] = {}

    def eval(self, experiment: str, arm: str, name: str, step: int | None) -> bytes | None:
        """The encoded row that answers for a name, or the in-loop row at a step."""
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
            found = fetch(self._connection, _EVAL, (*place, name))
        else:
            found = fetch(self._connection, _EVAL_AT, (*place, name, step))
        for content, stamp in found:
            return content + stamp  # type: ignore[no-any-return]
        return None

    def score(
        self, experiment: str, arm: str, candidates: Sequence[tuple[str | None, str]]
    ) -> Score | None:
        """The first candidate that has an entry; mostly the first one, one statement."""
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
            return self._bare_score(place, key)
        for value, origin, step in fetch(self._connection, _SCORE, (*place, name, key)):
            return Score(codec.score_from(value, origin, step), key, name)
        return None

    def _bare_score(self, place: tuple[int, int], key: str) -> Score | None:
        for value, origin, step, primary in fetch(self._connection, _BARE_SCORE, (*place, key)):
            entry = codec.score_from(value, origin, step)
            return Score(entry, key, primary if codec.is_of_row(origin) else None)
        return None

    def _find_place(self, experiment: str, arm: str) -> tuple[int, int]:
        """The place of an arm's rows, remembered for the next question about it.

        A place is never given again, and a deleted arm leaves nothing at its own: what is
        found at a remembered place is right, and where nothing is, it is looked up again.
        """
        for place in fetch(self._connection, _PLACE, (experiment, arm)):
            if len(self._places) >= _PLACES_LIMIT:
                self._places.clear()
            self._places[experiment, arm] = place
            return place
        self._find_experiment(experiment)
        raise unknown_arm(experiment, arm)

    def arm(self, experiment: str, arm: str, limits: PageLimits) -> tuple[ArmView, Page[bytes]]:
        """An arm and the first page of its rows."""
        with self.one_state():
            identity, row = self._find_arm(experiment, arm)
            view = self._view(identity, row)
            return view, self._evals(identity, row, -1, limits, lambda _key: True)

    def arms(
        self, experiment: str, after: int, limits: PageLimits, accepts: Callable[[ArmRow], bool]
    ) -> Page[ArmView]:
        """The arms after an ordinal, in order of creation."""
        with self.one_state():
            found = self._find_experiment(experiment)
            return self.page(
                Query(_ARMS, (found.id, after), codec.arm_from, lambda row: row.ordinal, accepts),
                lambda row: self._view(found.id, row),
                lambda view: view.row.part_bytes + len(view.primary or b""),
                limits,
                found.revision,
            )

    def evals(
        self,
        experiment: str,
        arm: str,
        after: int,
        limits: PageLimits,
        accepts: Callable[[EvalKey], bool],
    ) -> Page[bytes]:
        """The encoded rows after a position, in order of acceptance."""
        with self.one_state():
            identity, row = self._find_arm(experiment, arm)
            return self._evals(identity, row, after, limits, accepts)

    def experiment(self, name: str) -> ExperimentRow:
        """An experiment with its content."""
        return self._find_experiment(name)

    def experiments(
        self,
        prefix: str,
        after: str,
        limits: PageLimits,
        accepts: Callable[[ExperimentRow], bool],
    ) -> Page[ExperimentRow]:
        """The experiments whose names begin with a prefix, after a name."""
        goes_on = after >= prefix
        with self.one_state():
            return self.page(
                Query(
                    _EXPERIMENTS_AFTER if goes_on else _EXPERIMENTS_FROM,
                    (after if goes_on else prefix,),
                    _experiment_from,
                    lambda row: row.name,
                    lambda row: not row.deleted and accepts(row),
                    lambda row: row.name.startswith(prefix),
                ),
                lambda row: row,
                lambda row: len(row.content or b""),
                limits,
                0,
            )

    def _evals(
        self,
        experiment: int,
        arm: ArmRow,
        after: int,
        limits: PageLimits,
        accepts: Callable[[EvalKey], bool],
    ) -> Page[bytes]:
        place = (experiment, arm.ordinal)
        return self.page(
            Query(
                _ROW_PLACES,
                (*place, after),
                _place_from,
                lambda found: found[0],
                lambda found: accepts(found[1]),
            ),
            lambda found: self._encoded(place, found[1]),
            len,
            limits,
            arm.revision,
        )

    def page(
        self,
        query: "Query[R, P]",
        load: Callable[[R], T],
        size: Callable[[T], int],
        limits: PageLimits,
        revision: int,
    ) -> Page[T]:
        """Fills a page with the rows that a query accepts, within the page's limits."""
        page: Page[T] = Page([], None, revision)
        room, last, looked_at = limits.size, None, 0
        with closing(self._execute(query.sql, query.bindings)) as rows:
            for values in rows:
                row = query.read(values)
                if not query.belongs(row):
                    break
                if looked_at == _SCAN_ROWS or len(page.items) == limits.rows:
                    page.next = last
                    break
                if query.accepts(row):
                    item = load(row)
                    room -= size(item)
                    if room < 0 and page.items:
                        page.next = last
                        break
                    page.items.append(item)
                last = query.place(row)
                looked_at += 1
        return page

    def _find_experiment(self, name: str) -> ExperimentRow:
        found = fetch(self._connection, _EXPERIMENT, (name,))
        if not found:
            raise unknown_experiment(name)
        return _experiment_from(found[0])

    def _find_arm(self, experiment: str, name: str) -> tuple[int, ArmRow]:
        identity = self._find_experiment(experiment).id or 0
        found = fetch(self._connection, _ARM, (identity, name))
        if not found:
            raise unknown_arm(experiment, name)
        return identity, codec.arm_from(found[0])

    def _view(self, experiment: int | None, row: ArmRow) -> ArmView:
        place = (experiment, row.ordinal)
        parts = dict.fromkeys(PART_NAMES, b"") | dict(fetch(self._connection, _PARTS, place))
        primary: bytes | None = None
        if row.primary is not None:
            primary = fetch_value(
                self._connection, _EVAL_OF, (*place, *codec.key_values(row.primary))
            )
        return ArmView(row, parts, primary)

    def _encoded(self, place: tuple[int, int], key: EvalKey) -> bytes:
        [(content, stamp)] = fetch(self._connection, _EVAL_BYTES, (*place, *codec.key_values(key)))
        return content + stamp  # type: ignore[no-any-return]

    def changing(self, _subjects: Collection[Subject]) -> None:
        """A commit begins: the state that reads share is over, and the log may begin anew."""
        self._commits += 1
        if self._shares:
            self._execute("COMMIT")
            self._shares = False

    def changed(self, _subjects: Collection[Subject]) -> None:
        """The commit has ended."""
        self._commits -= 1

    def _share_state(self) -> None:
        """Begins the transaction that reads share until the next commit."""
        if not (self._shares or self._commits):
            self._execute("BEGIN")
            self._shares = True

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """Has every statement inside see the same committed state."""
        self._share_state()
        if self._shares:
            yield
            return
        self._execute("BEGIN")
        try:
            yield
        finally:
            self._execute("COMMIT")


class Query(NamedTuple, Generic[R, P]):
    """A scan: its rows in order, the place of each, and which of them are shown.

    The first row that does not belong to it ends it.
    """

    sql: str
    bindings: tuple[Any, ...]
    read: Callable[[tuple[Any, ...]], R]
    place: Callable[[R], P]
    accepts: Callable[[R], bool]
    belongs: Callable[[R], bool] = lambda _row: True


def _experiment_from(values: tuple[Any, ...]) -> ExperimentRow:
    *row, content = values
    return codec.experiment_from(row, content or b"")


def _place_from(values: tuple[Any, ...]) -> tuple[int, EvalKey]:
    position, name, post, step = values
    return position, EvalKey(name, None if post else step)
