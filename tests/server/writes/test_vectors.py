"""Tests of the vectors of writes, over the wire and directly in a store."""

import pytest
from podium._limits.limits import Limits

from tests.server.store.places import Place, opened
from tests.server.writes.conftest import MakeWire
from tests.server.writes.vectors import CASE_KEYS, REFUSED_KEYS, STEP_KEYS, Case, cases, run
from tests.server.writes.ways import METHODS, Direct, Validated
from tests.sparse import sparse


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
async def test_over_the_wire(case: Case, wire: MakeWire, experiment: str) -> None:
    """A server returns the expected response for every call of a vector."""
    await run(case, wire(case["limits"]), experiment)


@pytest.mark.parametrize("case", sparse(cases(), 3), ids=lambda case: case["name"])
async def test_straight_into_a_store(case: Case, place: Place, experiment: str) -> None:
    """The handlers over a store return the expected response for every call of a vector."""
    async with opened(place) as store:
        await run(case, Direct(store, Limits(**case["limits"])), experiment)


@pytest.mark.parametrize("case", sparse(cases(), 6), ids=lambda case: case["name"])
async def test_validated_before_each_call(case: Case, place: Place, experiment: str) -> None:
    """A call with validate_only returns what the call will return, and changes nothing."""
    async with opened(place) as store:
        way = Validated(Direct(store, Limits(**case["limits"])))
        await run(case, way, experiment)


def test_names_of_vectors_are_unique() -> None:
    """No two vectors have the same name, so that the name of a failed test names one vector."""
    names = [case["name"] for case in cases()]
    assert len(names) == len(set(names))


def test_vectors_have_no_key_that_nobody_reads() -> None:
    """Vectors have only keys that the tests read, so that a misspelt key is an error."""
    for case in cases():
        assert case.keys() == CASE_KEYS
        for step in case["steps"]:
            assert step.keys() <= STEP_KEYS
            assert step["call"] in METHODS
            assert step.get("refused", {}).keys() <= REFUSED_KEYS
