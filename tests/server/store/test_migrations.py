"""Tests of the migrations of a SQLite file, and of the message fields that they read."""

import math
from pathlib import Path
from random import Random

import apsw
import pytest
from podium._limits.limits import Limits
from podium.errors import PodiumError
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.run_config_pb2 import DataConfig, ModelConfig, RunConfig
from podium_server.store.contract import Store
from podium_server.store.message_fields import config_digest, text_field
from podium_server.store.sqlite import schema
from podium_server.testing.calls import arm, declared, record
from podium_server.writes.encoding import encode

from tests.server.store.places import Dump, SqlitePlace, dump_sqlite, opened
from tests.server.store.test_derived import check_derived, follow
from tests.server.writes.naive_state import Experiment
from tests.server.writes.random_calls import random_call
from tests.server.writes.ways import Direct
from tests.sparse import sparse

_CALLS = 120
_SURELY = (
    arm("nan", EvalResult(name="e", metrics={"k": math.nan}, benchmark_id="b"), status=3),
    arm("number", EvalResult(name="e", metrics={"k": 1}, step=3), status=3, metrics={"m": -1}),
    arm("given", status=3, eval_metrics={"k": -math.inf}),
)
"""Events that make rows which random calls seldom make."""


async def write_randomly(store: Store, seed: int) -> None:
    """Makes random calls on the experiment x."""
    rng, model = Random(seed), Experiment()  # noqa: S311 - the same calls every time
    way = Direct(store, Limits())
    for _ in range(_CALLS):
        request = random_call(rng, model, "x")
        try:
            await way.call(type(request).__name__.removesuffix("Request"), request)
        except PodiumError:
            continue
        follow(model, request)


async def _written(place: SqlitePlace, seed: int) -> Dump:
    """Returns the rows that random calls made in a new store."""
    async with opened(place) as store:
        await write_randomly(store, seed)
        await store.transact(record(declared(), *_SURELY, experiment="y"))
    return place.dump()


def _write_version_1(path: Path, dump: Dump) -> None:
    """Writes the rows of a dump to a file of version 1, which has fewer columns."""
    connection = apsw.Connection(str(path))
    connection.pragma("application_id", schema.APPLICATION_ID)
    connection.execute(schema.MIGRATIONS[0])
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        columns = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
        places = ",".join("?" * columns)
        for row in dump[str(table)]:
            connection.execute(f"INSERT INTO {table} VALUES ({places})", row[:columns])  # noqa: S608
    connection.pragma("user_version", 1)
    connection.close()


@pytest.mark.parametrize("count", sparse([2, 10]))
async def test_version_1(tmp_path: Path, count: int) -> None:
    """A migrated file of version 1 has the same rows as a new file.

    From the rows of version 1, the migration derives benchmarks, digests of configurations, the
    order of scores, and counts.
    """
    for seed in range(count):
        new, old = (SqlitePlace(tmp_path / f"{age}{seed}") for age in ("new", "old"))
        for place in (new, old):
            place.path.parent.mkdir()
        dump = await _written(new, seed)
        _write_version_1(old.path, dump)
        async with opened(old):
            migrated = dump_sqlite(old.path)
        check_derived(migrated)
        for found in (migrated, dump):
            # These rows also cover arms that were COMPLETED earlier. Version 1 did not store that.
            del found["rank_changes"]
            # Version 1 did not store the revision at which an arm's status or group last changed.
            # The migration uses the arm's revision instead.
            assert all(arm[-1] <= arm[4] for arm in found["arms"])
            found["arms"] = [arm[:-1] for arm in found["arms"]]
            # Version 1 had no training series, so it has fewer rows to count.
            del found["points"], found["point_keys"]
            found["experiments"] = [experiment[:-1] for experiment in found["experiments"]]
        assert migrated == dump


def test_the_digest_of_a_configuration_leaves_out_name_and_seed() -> None:
    """Only the name, the seed and empty parts can differ without changing the digest."""
    config = RunConfig(name="a", seed=0, tags=["t"], model=ModelConfig(name="m"))
    same = RunConfig(name="b", seed=7, tags=["t"], model=ModelConfig(name="m"), data=DataConfig())
    other = RunConfig(name="a", seed=0, tags=["t"], model=ModelConfig(name="n"))
    assert config_digest(encode(config)) == config_digest(encode(same))
    assert config_digest(encode(config)) != config_digest(encode(other))
    assert config_digest(encode(RunConfig(name="a"))) == config_digest(b"")


def test_a_text_in_an_encoded_message() -> None:
    """`text_field` finds a string behind fields of every kind. It returns None if there is none."""
    message = encode(RunConfig(name="a" * 300, seed=-1, model=ModelConfig(name="m"), tags=["é"]))
    assert text_field(message, 1) == "a" * 300
    assert text_field(message, 9) == "é"
    assert text_field(message, 2) is None
    assert text_field(b"\x09" + bytes(8) + b"\x15" + bytes(4) + b"\x1a\x01x", 3) == "x"
