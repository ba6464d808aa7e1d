"""Reads the state of the watched experiment with list calls, to compare watches with it."""

from typing import Any

from podium.errors import NotFoundError
from podium.v1.results_service_pb2 import (
    GetExperimentRequest,
    ListArmsRequest,
    ListEvalsRequest,
    ListSeriesRequest,
)

from tests.server.watch.judge import State, encoded_row, fingerprint
from tests.server.writes.ways import Way

__all__ = ["NAME", "read_state"]

NAME = "x"
"""The name of the watched experiment."""


async def read_state(way: Way) -> tuple[int, State]:
    """Returns the revision and the state of the experiment.

    If there is no experiment, the revision is 0 and the state is empty.
    """
    state = State()
    try:
        found: Any = await way.call("GetExperiment", GetExperimentRequest(experiment=NAME))
    except NotFoundError:
        return 0, state
    listed: Any = await way.call("ListArms", ListArmsRequest(experiment=NAME))
    for arm in listed.arms:
        state.arms[arm.name] = fingerprint(arm)
        rows: Any = await way.call("ListEvals", ListEvalsRequest(experiment=NAME, arm=arm.name))
        for row in rows.evals:
            step = row.step if row.HasField("step") else None
            state.rows[arm.name, row.name, step] = encoded_row(row)
        series: Any = await way.call("ListSeries", ListSeriesRequest(experiment=NAME, arm=arm.name))
        state.add_points(arm.name, series.series)
    return found.experiment.revision, state
