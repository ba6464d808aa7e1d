"""The metrics of an experiment, with the number of arms that have a score on each metric."""

from contextlib import closing
from itertools import groupby

from podium_server.store.contract import Page, PageLimits
from podium_server.store.rows import MetricRow, Origin
from podium_server.store.sql.reads import Reader

__all__ = ["metrics"]

_METRICS = (
    "SELECT eval_name, key, origin, count(*) FROM scores "
    "WHERE experiment = ? AND (eval_name, key) > (?, ?) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
_BETWEEN = "\0"
"""Separates the parts of a place. No name contains this character."""


def metrics(reader: Reader, experiment: str, after: str, limits: PageLimits) -> Page[MetricRow]:
    """Returns a page of the metrics after a place. Reads every score of the experiment."""
    with reader.one_state():
        row = reader.experiment(experiment)
        page: Page[MetricRow] = Page([], None, row.revision)
        name, _, key = after.partition(_BETWEEN)
        room = limits.size
        with closing(reader.connection.execute(_METRICS, (row.id, name, key))) as rows:
            for (name, key), group in groupby(rows, lambda columns: columns[:2]):
                room -= len(name) + len(key)
                if page.items and (len(page.items) == limits.rows or room < 0):
                    page.next = _BETWEEN.join(page.items[-1][:2])
                    break
                arms = {Origin(origin): count for _, _, origin, count in group}
                page.items.append(MetricRow(name, key, arms))
        return page
