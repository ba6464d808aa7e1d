"""The scores of many arms on many metrics: a statement for each column."""

import json
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import apsw

from podium_server.store.contract import PageLimits
from podium_server.store.filters import ArmFilter
from podium_server.store.ranking_queries import ScoreMatrix
from podium_server.store.sqlite import codec
from podium_server.store.sqlite.connection import fetch
from podium_server.store.sqlite.lists import arms_query, fill_page
from podium_server.store.sqlite.reads import Reader

__all__ = ["Matrix"]

_Candidates = Sequence[tuple[str | None, str]]

_ARM_COLUMNS = "ordinal, name, status, group_name, tags"
_COLUMN = (
    "SELECT s.arm, s.value FROM json_each(?2) a CROSS JOIN scores s "
    "WHERE s.experiment = ?1 AND s.arm = a.value AND s.eval_name = ?3 AND s.key = ?4"
)


class Matrix:
    """Matrices on a connection; within `one_state()` it sees one committed state."""

    def __init__(
        self, connection: apsw.Connection, one_state: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._connection = connection
        self._one_state = one_state
        self._reader = Reader(connection)

    def scores(
        self,
        experiment: str,
        after: int,
        limits: PageLimits,
        shown: ArmFilter,
        metrics: Sequence[_Candidates],
    ) -> ScoreMatrix:
        """A page of arms after an ordinal, with a column for each metric."""
        with self._one_state():
            row = self._reader.experiment(experiment)
            page = fill_page(
                self._connection,
                arms_query(row.id, after, shown, _ARM_COLUMNS),
                codec.listed_arm,
                lambda arm: len(arm.name) + len(arm.group_name or ""),
                limits,
                row.revision,
            )
            ordinals = [arm.ordinal for arm in page.items]
            columns = [self._column(row.id or 0, ordinals, places) for places in metrics]
            return ScoreMatrix(page.items, columns, page.next, page.revision)

    def _column(
        self, experiment: int, ordinals: Sequence[int], candidates: _Candidates
    ) -> tuple[list[float], list[bool]]:
        """The scores of arms, 0 where there is none, and whether there is one."""
        found: dict[int, int] = {}
        for name, key in candidates:
            wanted = [ordinal for ordinal in ordinals if ordinal not in found]
            if not wanted:
                break
            place = (experiment, json.dumps(wanted), name or "", key)
            found.update(fetch(self._connection, _COLUMN, place))
        bits = [found.get(ordinal, 0) for ordinal in ordinals]
        size = len(ordinals)
        values = struct.unpack(f"<{size}d", struct.pack(f"<{size}q", *bits))
        return list(values), [ordinal in found for ordinal in ordinals]
