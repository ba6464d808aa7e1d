"""Tests of recorded scikit-learn searches: a candidate is a group, and each fold is an arm."""

import math
from importlib.util import find_spec
from typing import Any

import numpy as np
import podium
import pytest

from tests.client.recorder.looking import told
from tests.lazy import Lazy

dummy: Any = Lazy("sklearn.dummy")
pipeline: Any = Lazy("sklearn.pipeline")
model_selection: Any = Lazy("sklearn.model_selection")
integration: Any = Lazy("podium.integrations.sklearn")

# The environment of the lowest versions has no scikit-learn.
pytestmark = pytest.mark.skipif(not find_spec("sklearn"), reason="scikit-learn is not installed")

_ROWS = np.arange(24.0).reshape(-1, 1)


def _searched(**given: Any) -> Any:
    grid = {"strategy": ["mean", "constant"]}
    model = dummy.DummyRegressor(constant=20.0)
    return model_selection.GridSearchCV(model, grid, cv=3, **given).fit(_ROWS, _ROWS[:, 0])


@pytest.mark.slow
def test_a_search(record: Any, client: podium.Client, name: str) -> None:
    """The ranking of the candidates has the means that scikit-learn has computed.

    The arm of a fold has the scores of the fold and the parameters of its candidate.
    """
    search = _searched(return_train_score=True)
    with record(name, success_metric="cv.score") as experiment:
        integration.record_search(search, experiment)
        integration.record_search(search, experiment)
        assert experiment.flush(60).durable
    ranking = client.experiment(name).rank_groups()
    names = ["strategy=mean", "strategy=constant", "refit"]
    assert [group.name for group in ranking.groups] == names
    found = search.cv_results_
    for group, index in zip(ranking.groups, (0, 1), strict=False):
        assert group.statistics.n == 3
        assert group.statistics.mean == pytest.approx(found["mean_test_score"][index], rel=1e-12)
        assert group.flags == []
    arm = client.arm(name, "strategy=constant fold 2").get()
    assert arm.eval_metrics == {"score": found["split2_test_score"][1]}
    assert arm.metrics == {"train_score": found["split2_train_score"][1]}
    assert arm.run_config.algorithm == podium.Component(
        "sklearn.dummy.DummyRegressor", {"constant": 20.0, "strategy": "constant"}
    )
    kept = client.arm(name, "refit").get()
    assert (kept.status, kept.evals, kept.group_name) == ("completed", [], None)
    assert kept.run_config.algorithm == podium.Component(
        "sklearn.dummy.DummyRegressor", {"constant": 20.0, "strategy": "mean"}
    )


@pytest.mark.slow
def test_a_search_over_estimators(record: Any, client: podium.Client, name: str) -> None:
    """In a search over estimators, an arm has the parameters of its candidate's estimator.

    The text of the estimator is part of the arm's name.
    """
    model = pipeline.Pipeline([("last", dummy.DummyRegressor(strategy="median"))])
    grid = {"last": [dummy.DummyRegressor(strategy="constant", constant=3.0)]}
    search = model_selection.GridSearchCV(model, grid, cv=3).fit(_ROWS, _ROWS[:, 0])
    with record(name) as experiment:
        integration.record_search(search, experiment)
        assert experiment.flush(60).durable
    text = "DummyRegressor(constant=3.0, strategy='constant')"
    algorithm = client.arm(name, f"last={text} fold 0").get().run_config.algorithm
    assert algorithm is not None
    params = algorithm.params
    assert (params["last"], params["last__strategy"], params["last__constant"]) == (
        text,
        "constant",
        3.0,
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
def test_several_scorers_and_a_name(record: Any, client: podium.Client, name: str) -> None:
    """Each scorer becomes a metric, a NaN score stays NaN, and `name` is a prefix of arm names."""
    search = _searched(scoring={"mae": "neg_mean_absolute_error", "nan": _nan}, refit="mae")
    with record(name) as experiment:
        integration.record_search(search, experiment, name="first", eval_name="folds")
    row = client.arm(name, "first strategy=mean fold 0").eval("folds")
    assert row is not None
    assert row.metrics.keys() == {"mae", "nan"}
    assert math.isnan(row.metrics["nan"])
    assert client.arm(name, "first refit").get().status == "completed"


@pytest.mark.slow
def test_a_search_that_was_not_fitted(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a search was not fitted, nothing is recorded, and a warning says what is missing."""
    with record(name) as experiment:
        integration.record_search(
            model_selection.GridSearchCV(dummy.DummyRegressor(), {}), experiment
        )
    (line,) = told(caplog)
    assert "record_search: nothing is recorded, because search has no cv_results_" in line


@pytest.mark.slow
def test_candidates_of_long_or_equal_names(record: Any, client: podium.Client, name: str) -> None:
    """If names of candidates are too long or equal, arms and groups still get different names."""
    grid = {"constant": [[1.0] * 24, np.ones(24), np.ones(100)], "strategy": ["constant"]}
    rows = np.ones((24, 24))
    search = model_selection.GridSearchCV(
        dummy.DummyRegressor(), grid, cv=2, refit=False, error_score=math.nan
    )
    with pytest.warns(Warning):  # noqa: PT030 - the third candidate cannot be fitted
        search.fit(_ROWS, rows)
    with record(name) as experiment:
        integration.record_search(search, experiment)
        assert experiment.flush(60).durable
    arms = list(client.experiment(name).arms())
    assert len(arms) == 6
    assert len({arm.group_name for arm in arms}) == 3
    assert all(len(arm.name.encode()) <= 256 for arm in arms)


def _nan(_model: Any, _rows: Any, _labels: Any) -> float:
    return math.nan
