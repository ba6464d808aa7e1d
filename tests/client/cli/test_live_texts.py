"""Tests of how commands show tokens, charts and live tables."""

import math
import os
from argparse import Namespace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import ArmResult, ArmSummary, EvalResult, RunConfig
from podium._model.listings import Metric, MetricSource
from podium._model.rankings import (
    RankSource,
)
from podium.cli import _chart, _live_table, _suggestions
from podium.cli._console import Console
from podium.cli.commands import token, whoami
from podium.curves import curves_of
from podium.ranking import rank

_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_SOURCES = [
    RankSource("post_training_eval", "test", "b1", 1_200),
    RankSource("in_loop_eval", "val", None, 3),
    RankSource("training_metrics", None, None, 2),
    RankSource("given_eval_metrics", None, None, 1),
    RankSource("newer", None, None, 1),
]


# ---- Tokens --------------------------------------------------------------------------------------


def test_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of tokens shows a token's role, prefixes, limits, stored rows and end.

    `podium whoami` shows them, too.
    """
    limits = podium.TokenLimits(calls=2, stored_rows=9_000)
    found = podium.Token("i", "n", "admin", ["p", "q"], _TIME, None, None, limits, 1_000)
    assert token._row(found) == (
        "i",
        "n",
        "admin",
        "p q",
        "calls=2 stored_rows=9000",
        "1,000 of 9,000",
        "2026-01-02 03:04:05Z",
        "valid",
    )
    client: Any = SimpleNamespace(address="h:1", whoami=lambda: found)
    whoami.run(Namespace(), client, Console(as_json=False))
    assert capsys.readouterr().out == (
        "token i at h:1\n  name         n\n  role         admin\n  prefixes     p q\n"
        "  limits       calls=2 stored_rows=9000\n  stored rows  1,000 of 9,000\n"
        "  expires      never\n"
    )
    client.whoami = lambda: None
    whoami.run(Namespace(), client, Console(as_json=False))
    assert capsys.readouterr().out == "h:1 requires no tokens, and allows every call\n"


# ---- Charts and live tables ----------------------------------------------------------------------


def _in_loop(name: str, *values: float, status: str = "completed") -> ArmResult:
    rows = [EvalResult("val", metrics={"acc": each}, step=n) for n, each in enumerate(values)]
    return ArmResult(name, RunConfig(name), status, evals=rows)


def test_the_values_of_a_chart() -> None:
    """A chart leaves out NaN and infinities.

    A curve of equal values, such as all zeros, is drawn at half of the chart's height.
    """
    [curve] = curves_of([_in_loop("a", 1.0, math.nan, math.inf, -2.0)], "val.acc").curves
    assert _chart.series_of(curve) == _chart.Series([0, 3], [1.0, -2.0])
    for value, top in ((0.0, "0.9375"), (-50.0, "-45.31")):
        lines = list(_chart.chart([_chart.Series([1, 2], [value, value])], 30))
        assert lines[0].split()[0] == top
        assert lines[7].count("a") == 2
    many = [_chart.Series([n], [float(n)]) for n in range(60)]
    assert "".join(_chart.chart(many, 80)).count("Z") == 1
    late = _chart.Series([5], [1.0])
    drawn = "".join(_chart.chart([_chart.Series([], []), late], 30))
    assert ("a" in drawn, "b" in drawn) == (False, True)


def test_the_rows_of_a_live_table() -> None:
    """A live table ranks arms of every status, each with its own curve.

    Without a metric, the table has no ranks and no curves.
    """
    arms = [_in_loop("a", 1.0, 0.25, status="failed"), _in_loop("b", 0.0, 0.5, status="running")]
    summaries = [
        ArmSummary(arm.name, arm.run_config, arm.status, {"loss": 2.0}, eval_count=3)
        for arm in arms
    ]
    summaries[1].last_heard = _TIME
    state: Any = SimpleNamespace(
        arms={each.name: SimpleNamespace(summary=each) for each in summaries},
        rank=lambda metric, status: rank(arms, metric, status=status),
        curve=lambda metric, names, status: curves_of(
            [arm for arm in arms if arm.name in names and arm.status in status], metric
        ),
    )
    found = list(_live_table._rows(state, "val.acc", 9, 3, is_ascii=True))
    assert found == [
        ("1", "b", "running", "0.5", "_-+", "3", "2026-01-02", "loss=2"),
        ("2", "a", "failed", "0.25", "#*-", "3", "", "loss=2"),
    ]
    [first] = _live_table._rows(state, "val.acc", 1, 3, is_ascii=False)
    assert first[:2] == ("1", "b")
    [first] = _live_table._rows(state, None, 1, 3, is_ascii=False)
    assert first[:5] == ("", "a", "failed", "", "")


def test_a_screen_is_drawn_when_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a drawing is requested while the screen is being drawn, the screen is drawn once more.

    A message appears when the server has not answered for some time. The screen is drawn for it
    only if the message has changed.
    """
    drawn: list[tuple[Any, ...]] = []
    live: Any = SimpleNamespace(lag=0.0, state="first")

    def show(*given: Any) -> None:
        drawn.append(given[:3])
        if len(drawn) == 1:
            live.state = "second"
            screen.draw()

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(_live_table, "_show", show)
    screen = _live_table._Screen(live, "m", Console(as_json=False))
    screen.draw()
    screen.draw_lag()
    assert drawn == [("first", "m", ""), ("second", "m", "")]
    live.lag = 13.0
    screen.draw_lag()
    screen.draw_lag()
    assert drawn[2:] == [("second", "m", "no answer from the server for 13 s, ")]


def test_a_live_table_fits_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live table shows as many arms as fit on the screen below its title and headers.

    One line is left for the cursor.
    """
    arms = [_in_loop(f"a{n}", float(n)) for n in range(9)]
    state: Any = SimpleNamespace(
        revision=7,
        experiment=podium.Experiment("e", success_metric="val.acc"),
        arms={
            arm.name: SimpleNamespace(summary=ArmSummary(arm.name, arm.run_config, arm.status))
            for arm in arms
        },
        rank=lambda metric, status: rank(arms, metric, status=status),
        curve=lambda metric, *_, **__: curves_of([], metric),
    )
    for height, count in ((6, 3), (2, 1)):
        size = os.terminal_size((60, height))
        monkeypatch.setattr("shutil.get_terminal_size", lambda size=size: size)
        _live_table._show(state, None, "", Console(as_json=False))
        title, header, *rows = capsys.readouterr().out.splitlines()
        assert title == f"\x1b[H\x1b[Je, revision 7, 9 arms, {9 - count} more below"
        assert header.split() == ["RANK", "ARM", "STATUS", "SCORE", "EVALS"]
        assert [row.split()[1] for row in rows] == ["a8", "a7", "a6"][:count]


def test_metrics_that_may_have_values_by_step() -> None:
    """Metrics of in-loop evals come before training metrics.

    Metrics that only post-training evals have are left out. So are metrics of in-loop evals whose
    name does not begin with the eval, such as `acc` for `val.acc`.
    """
    metrics = [
        Metric("loss", None, 1, [MetricSource("training_metrics", 1)]),
        Metric("acc", None, 1, [MetricSource("in_loop_eval", 1)]),
        Metric(
            "val.acc",
            "val",
            2,
            [MetricSource("post_training_eval", 1), MetricSource("in_loop_eval", 1)],
        ),
        Metric("test.acc", "test", 1, [MetricSource("post_training_eval", 1)]),
    ]
    client: Any = SimpleNamespace(experiment=lambda _name: SimpleNamespace(metrics=lambda: metrics))
    assert _suggestions.step_metrics(client, "e") == ["val.acc", "loss"]
    assert "'val.acc'" in _suggestions.near_metrics(client, "e", "val.ac")
    assert "test.acc" not in _suggestions.near_metrics(client, "e", "test.ac", by_step=True)
    assert _suggestions.near_metrics(client, "e", "loss") == ""
