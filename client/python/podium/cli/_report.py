"""The content of `podium report`, from a ranking, curves and the arms of an experiment."""

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import podium
from podium import ArmSummary, Client, Curves, ExperimentHandle, GroupRanking, Ranking, plots
from podium.cli import _chart, _format, _rankings
from podium.cli._columns import cells
from podium.cli._documents import Block, Heading, Picture, Table, Text
from podium.cli._exits import CommandError, Exit
from podium.cli._suggestions import near_metrics, step_metrics
from podium.errors import NotFoundError
from podium.statistics import describe, holm, welch

__all__ = ["report"]

_CURVES, _COLUMNS, _SPARK, _MOST_PROVENANCES = 3, 8, 24, 100
_CANDIDATES = 10
"""The most metrics that are fetched to find curves, since not all of them have values by step."""
_TESTS = (
    "The best group is compared with each other group by Welch's t-test. The columns are the "
    "difference of the means, half the width of its 95% interval, the p-value, and the p-value "
    "adjusted for the number of tests (Holm). The intervals assume independent runs with normally "
    "distributed scores."
)


class _Data(NamedTuple):
    ranking: Ranking
    groups: GroupRanking | None
    arms: Mapping[str, ArmSummary]
    most: int


def report(
    client: Client,
    name: str,
    *,
    metric: str | None,
    curves: Sequence[str] | None,
    most: int,
    has_pictures: bool,
) -> Iterator[Block]:
    """Yields the headings, texts, tables and pictures of a report on an experiment.

    Args:
        client: The client for the requests.
        name: The name of the experiment.
        metric: The metric to rank by; None for the success metric.
        curves: The metrics to draw by step. None for the metric to rank by. If this metric has no
            values by step, None stands for the first three metrics that have some.
        most: The most arms that are listed.
        has_pictures: Whether to draw pictures.

    Raises:
        CommandError: No arm has a score on `metric`, or values by step of a metric in `curves`.
    """
    handle = client.experiment(name)
    ranking = handle.rank(metric)
    counts = ranking.counts
    if metric is not None and counts.without_score and not counts.numbers + counts.nans:
        near = near_metrics(client, name, metric)
        raise CommandError(f"no arm has a score on {metric!r}{near}", Exit.NOTHING)
    arms = {arm.name: arm for arm in handle.arms(page_size=1_000)}
    is_grouped = any(arm.group_name is not None for arm in arms.values())
    groups = handle.rank_groups(metric) if is_grouped else None
    found = _Data(ranking, groups, arms, most)
    yield from _heading(handle, ranking)
    yield from _ranking(found, has_pictures=has_pictures)
    yield from _tests(found)
    yield from _curves(client, handle, found, curves, has_pictures=has_pictures)
    yield from _arms(found)
    yield from _left_out(found)
    yield from _origin(handle, found)


def _heading(handle: ExperimentHandle, ranking: Ranking) -> Iterator[Block]:
    experiment = handle.get()
    for label, text in (
        ("Hypothesis", experiment.hypothesis),
        ("Conclusion", experiment.conclusion),
        ("Success metric", experiment.success_metric),
        ("Tags", " ".join(experiment.tags)),
    ):
        if text:
            yield Text(text, label)
    changed = "" if experiment.revision == ranking.revision else ", which has changed since then"
    yield Text(
        f"Revision {ranking.revision} of experiment {experiment.name}{changed}; last change "
        f"{_format.moment(experiment.update_time)}. Written by podium {podium.__version__}."
    )


def _ranking(found: _Data, *, has_pictures: bool) -> Iterator[Block]:
    shown = found.groups or found.ranking
    yield Heading(f"Ranking by {shown.metric}")
    yield Text(_rankings.summary(shown))
    for doubt in _rankings.doubts(shown):
        yield Text(doubt, "Warning")
    if found.groups is not None:
        rows = list(map(_rankings.group_row, found.groups.groups))
        yield Table(_rankings.GROUP_HEADERS, rows)
    if shown.sources and has_pictures:
        yield from _picture(plots.save_ranking, shown)


def _picture(save: Any, found: Any) -> Iterator[Block]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.svg")
        try:
            save(found, path)
        except ImportError as error:
            yield Text(f"no picture: {error}")
        else:
            yield Picture(path.read_text(encoding="utf-8"))


def _tests(found: _Data) -> Iterator[Block]:
    if found.groups is None:
        return
    scores: dict[str, list[float]] = defaultdict(list)
    for arm in found.ranking.arms:
        if arm.score is not None and not math.isnan(arm.score) and arm.group_name is not None:
            scores[arm.group_name].append(arm.score)
    names = [group.group_name for group in found.groups.groups if group.rank is not None]
    first, *others = [name for name in names if name is not None] or [""]
    if not others:
        return
    best = describe(scores[first])
    tests = [(name, welch(best, describe(scores[name]))) for name in others]
    tested = [(name, test, test.p_value) for name, test in tests if test.p_value is not None]
    yield Heading(f"Tests of {first} against the other groups")
    yield Text(_TESTS)
    adjusted = holm([p_value for _, _, p_value in tested])
    rows = [
        (
            name,
            _format.digits(test.difference, "+.3g"),
            _format.digits(test.half_width, ".2g"),
            _format.p_value(p_value),
            _format.p_value(holm_value),
        )
        for (name, test, p_value), holm_value in zip(tested, adjusted, strict=True)
    ]
    yield Table(("GROUP", ">BEST - GROUP", ">±95%", ">P", ">P (HOLM)"), rows)
    untested = [name for name, test in tests if test.p_value is None]
    if untested:
        yield Text(f"Not tested, for lack of two scores that differ: {', '.join(untested)}")


def _curves(
    client: Client,
    handle: ExperimentHandle,
    found: _Data,
    metrics: Sequence[str] | None,
    *,
    has_pictures: bool,
) -> Iterator[Block]:
    is_grouped = found.groups is not None
    if metrics is None:
        shown = _default_curves(client, handle, found.ranking.metric, is_grouped=is_grouped)
    else:
        shown = [handle.curve(metric, by_group=is_grouped) for metric in metrics]
    for curves in shown:
        if not curves.curves:
            near = near_metrics(client, handle.name, curves.metric, by_step=True)
            raise CommandError(
                f"no arm has a curve of {curves.metric!r} (values with steps){near}", Exit.NOTHING
            )
        yield Heading(f"Curve of {curves.metric}")
        if has_pictures:
            yield from _picture(plots.save_curves, curves)
        yield _curve_table(curves)
        if curves.without:
            yield Text(", ".join(curves.without), "Without values by step")


def _default_curves(
    client: Client, handle: ExperimentHandle, ranked: str, *, is_grouped: bool
) -> list[Curves]:
    """Returns the curves of the ranked metric.

    If this metric has no curves, returns the curves of the first three metrics that have some.
    """
    known = step_metrics(client, handle.name)
    for candidates, most in (([ranked] if ranked in known else [], 1), (known, _CURVES)):
        tried = (handle.curve(name, by_group=is_grouped) for name in candidates[:_CANDIDATES])
        found = list(islice((curves for curves in tried if curves.curves), most))
        if found:
            return found
    return []


def _curve_table(curves: Curves) -> Table:
    series = [_chart.series_of(curve) for curve in curves.curves]
    rows = []
    for curve, one in zip(curves.curves, series, strict=True):
        last = curve.points[-1]
        found = last.statistics
        mean = "NaN" if found.mean is None else f"{found.mean:.4g}"
        half = _format.digits(found.half_width, ".2g")
        rows.append(
            (
                curve.name,
                str(last.step),
                mean,
                half,
                str(found.n),
                _chart.spark(one, series, _SPARK),
            )
        )
    return Table(("NAME", ">LAST STEP", ">MEAN", ">±95%", ">N", "CURVE"), rows)


def _arms(found: _Data) -> Iterator[Block]:
    ranked = found.ranking.arms[: found.most]
    if not ranked:
        return
    records = {arm.arm: found.arms[arm.arm].record() for arm in ranked if arm.arm in found.arms}
    columns = _varying(list(records.values()))
    yield Heading("Arms")
    yield Table(
        (*_rankings.ARM_HEADERS, *columns),
        [(*_rankings.arm_row(arm), *cells(records.get(arm.arm, {}), columns)) for arm in ranked],
    )
    more = len(found.ranking.arms) - len(ranked)
    if more:
        yield Text(f"{more:,} more arms are not listed; --top lists more.")


def _varying(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the first few columns, such as `config.seed`, in which the arms differ."""
    paths = dict.fromkeys(name for record in records for name in record)
    varying = (
        path
        for path in paths
        if path.startswith("config.") and path != "config.name"
        if len({repr(record.get(path)) for record in records}) > 1
    )
    return list(islice(varying, _COLUMNS))


def _left_out(found: _Data) -> Iterator[Block]:
    counted = {arm.arm: arm for arm in found.ranking.arms}
    rows = []
    for name, arm in found.arms.items():
        ranked = counted.get(name)
        if ranked is None:
            reason = _format.last_line(arm.error) or arm.status
        elif ranked.score is None:
            reason = "without a score"
        elif math.isnan(ranked.score):
            reason = "NaN"
        else:
            continue
        notes = (arm.annotations and arm.annotations.notes) or ""
        rows.append((name, arm.group_name or "", arm.status, reason, notes))
    yield Heading("What is left out")
    if not rows:
        yield Text("Nothing: every arm has completed and has a score that is a number.")
        return
    yield Table(("ARM", "GROUP", "STATUS", "REASON", "NOTES"), rows)


def _origin(handle: ExperimentHandle, found: _Data) -> Iterator[Block]:
    yield Heading("Where the numbers come from")
    if found.ranking.sources:
        yield Text(_rankings.sources(found.ranking.sources), "Scores")
    origins: dict[tuple[str, ...], list[str]] = defaultdict(list)
    shown = found.ranking.arms[: min(found.most, _MOST_PROVENANCES)]
    for arm in shown:
        origins[_provenance(handle, arm.arm)].append(arm.arm)
    yield Table(
        ("GIT COMMIT", "TREE", "HOST", "PYTHON", "PACKAGES", "ARMS"),
        [(*origin, ", ".join(names)) for origin, names in origins.items()],
    )
    more = len(found.ranking.arms) - len(shown)
    if more:
        yield Text(f"The code of {more:,} more arms is not listed.")


def _provenance(handle: ExperimentHandle, name: str) -> tuple[str, ...]:
    try:
        found = handle.arm(name).get().provenance
    except NotFoundError:  # the arm was deleted after it was ranked
        found = None
    if found is None:
        return ("not recorded", "", "", "", "")
    tree = {True: "clean", False: "uncommitted changes", None: ""}[found.git_clean]
    packages = ", ".join(f"{name} {number}" for name, number in found.packages.items())
    host, python = found.host or "", found.python_version or ""
    return (found.git_commit or "unknown", tree, host, python, packages)
