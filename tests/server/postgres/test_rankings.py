"""Tests of rankings that are read from the database in pieces."""

import dataclasses
import math
from pathlib import Path

import pytest
from podium_server.store.contract import PageLimits
from podium_server.store.open import open_store
from podium_server.store.postgres import reads
from podium_server.store.postgres.dialect import POSTGRES
from podium_server.store.ranking_queries import RankQuery
from podium_server.testing.calls import arm, declared, record

from tests.stores import store_url

_LOSSES = (2.0, 1.0, math.nan, 1.0, 3.0, 1.0, 2.0, math.nan, 0.0, 3.0)


@pytest.mark.parametrize("pieces", [(), (1,), (2, 3), (10,), (3, 7), (100,)])
@pytest.mark.parametrize(
    ("direction", "expected"), [("minimize", "8135064927"), ("maximize", "4906135827")]
)
async def test_pieces(
    pieces: tuple[int, ...],
    direction: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With pieces of any size, a ranking has each arm once.

    Equal scores are in the order of creation, and NaN comes last.
    """
    monkeypatch.setattr(reads, "POSTGRES", dataclasses.replace(POSTGRES, pieces=pieces))
    store = await open_store(store_url(tmp_path))
    arms = [arm(str(at), status=3, metrics={"loss": loss}) for at, loss in enumerate(_LOSSES)]
    await store.transact(record(declared(), *arms))
    query, order = RankQuery(((None, "loss"),), direction), ""
    for _ in range(3):
        page = await store.rank("x", query, PageLimits(4, 2**20))
        query = dataclasses.replace(query, after=page.next)
        order += "".join(row.name for row in page.rows)
    await store.close()
    assert (order, page.next) == (expected, None)
