"""Tests of the matrices of scores that a server returns."""

import math
from collections.abc import Iterator
from random import Random

import podium
import pytest
from podium_server.testing import RunningServer, running_server

from tests.server.ranking.holding import random_arms
from tests.unit.scoring.bruteforce import score_answer

_METRICS = ["test.acc", "acc", "a.b.c", "b", "nothing.at.all", "acc"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Yields a server that the tests share. Each test uses experiments of its own."""
    with running_server() as server:
        yield server


@pytest.fixture
def client(server: RunningServer) -> Iterator[podium.Client]:
    """Yields a client of the server."""
    with podium.Client(server.address) as client:
        yield client


def _recorded(
    client: podium.Client, name: str, arms: list[podium.ArmResult]
) -> podium.ExperimentHandle:
    experiment = client.experiment(name)
    experiment.declare()
    for arm in arms:
        experiment.record_arm(arm)
    return experiment


@pytest.mark.parametrize("page_size", [1, 7, 60, None])
def test_every_cell_is_the_score_of_its_arm(client: podium.Client, page_size: int | None) -> None:
    """With pages of any size, each cell is exactly the score that the naive rules give."""
    rng = Random(page_size or 0)  # noqa: S311 - the same arms every time
    arms = random_arms(rng, most=25)
    experiment = _recorded(client, f"cells/{page_size}", arms)
    found = experiment.scores(_METRICS, page_size=page_size)
    assert [(arm.arm, arm.status, arm.group_name) for arm in found.arms] == [
        (arm.name, arm.status, arm.group_name) for arm in arms
    ]
    assert [column.metric for column in found.columns] == _METRICS
    for column in found.columns:
        expected = [score_answer(arm, column.metric) for arm in arms]
        assert list(map(repr, column.scores)) == [repr(one and one.value) for one in expected]
    assert found.revision == len(arms) + 1


def test_filters(client: podium.Client) -> None:
    """Arms can be filtered by status, group, name prefix and tags together."""
    arms = [
        podium.ArmResult(name, podium.RunConfig("r", tags=tags), status, {"m": 1}, group_name=group)
        for name, status, group, tags in [
            ("a1", "completed", "g", ["t", "u"]),
            ("a2", "failed", "g", ["t"]),
            ("b1", "completed", "g", ["t"]),
            ("a3", "completed", None, ["t"]),
            ("a4", "completed", "g", []),
            ("a5", "completed", "g", ["t"]),
        ]
    ]
    experiment = _recorded(client, "filters", arms)
    found = experiment.scores(
        ["m"], status="completed", group_name="g", name_prefix="a", tags=["t"], page_size=1
    )
    assert [arm.arm for arm in found.arms] == ["a1", "a5"]
    assert found["m"] == [1.0, 1.0]
    assert experiment.scores(["m"], name_prefix="x").columns == [podium.ScoreColumn("m", [])]


@pytest.mark.heavy
def test_columns_by_metric_and_as_a_data_frame(client: podium.Client) -> None:
    """A matrix has a column for each metric, and converts to a pandas DataFrame."""
    arms = [
        podium.ArmResult("nan", podium.RunConfig("r"), "completed", {"m": math.nan, "n": 1}),
        podium.ArmResult("none", podium.RunConfig("r"), "completed", {"n": math.inf}),
    ]
    found = _recorded(client, "frame", arms).scores(["m", "n"])
    assert repr(found["m"]) == "[nan, None]"
    with pytest.raises(KeyError, match="other"):
        _ = found["other"]
    frame = found.to_pandas()
    assert list(frame.columns) == ["m", "n"]
    assert list(frame.index) == ["nan", "none"]
    assert frame.index.name == "arm"
    assert frame["n"].tolist() == [1.0, math.inf]
    assert frame["m"].isna().all()
    empty = client.experiment("frame").scores(["m"], name_prefix="x").to_pandas()
    assert (list(empty.columns), len(empty)) == (["m"], 0)


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [([], "FIELD_MISSING"), (["a", ""], "NAME_INVALID"), (["m"] * 1001, "LIMIT_EXCEEDED")],
)
def test_invalid_metrics(client: podium.Client, metrics: list[str], reason: str) -> None:
    """A request with no metric, an empty metric or too many metrics is rejected."""
    experiment = _recorded(client, "metrics", [])
    with pytest.raises(podium.InvalidArgumentError) as raised:
        experiment.scores(metrics)
    assert raised.value.reason == reason


def test_an_unknown_experiment(client: podium.Client) -> None:
    """A request for an unknown experiment raises NotFoundError."""
    with pytest.raises(podium.NotFoundError):
        client.experiment("nowhere").scores(["m"])
