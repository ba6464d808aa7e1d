"""Makes the requests of reads that take several calls, without I/O. See `podium._client.calls`."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from podium import comparing
from podium._client import calls
from podium._client.calls import Pages, Requests
from podium._client.near_names import warn_of_unknown
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.results import ArmResult, ArmSummary, EvalResult
from podium._values import coerce
from podium._values.arguments import ArmStatuses, CompareKind, Strings
from podium._values.enums import ArmStatus
from podium._values.suggest import did_you_mean
from podium._wire.arm_filters import one_or_more
from podium.comparing import Comparison, Members
from podium.curves import Curves, Series, curves_of, eval_names
from podium.errors import NotFoundError

__all__ = ["compare", "curve", "curve_arms"]

_T = TypeVar("_T")

_FIRST_STEP = -(2**63)
_CURVED = (ArmStatus.RUNNING, ArmStatus.COMPLETED)


def compare(
    experiment: str,
    left: str,
    right: str,
    *,
    kind: CompareKind | None,
    status: ArmStatuses | None,
    evals: Strings | None,
) -> Requests[Comparison]:
    """Calls ListArms and GetArm. Returns the comparison of two arms or groups."""
    if kind not in (None, "arm", "group"):
        raise ValueError(f"kind must be 'arm', 'group' or None, not {kind!r}")
    if coerce.text(left, "left") == coerce.text(right, "right"):
        raise ValueError(f"left and right are both {left!r}: give two different arms or groups")
    chosen = None if evals is None else coerce.texts(evals, "evals")
    statuses = _statuses(status, (ArmStatus.COMPLETED,))
    one = yield from _members(experiment, left, kind, statuses)
    other = yield from _members(experiment, right, kind, statuses)
    return comparing.compare(one, other, chosen)


def _members(
    experiment: str, name: str, kind: CompareKind | None, statuses: Collection[str]
) -> Requests[Members]:
    listed = [] if kind == "arm" else (yield from _arms(experiment, group_name=name))
    if not listed:
        arm = None if kind == "group" else (yield from _arm_or_none(experiment, name))
        if arm is None:
            known = yield from _arms(experiment)
            names = {"by_group": "kind='group'", "by_arm": "kind='arm'"}
            raise _unknown_name(experiment, name, kind or "arm or group", known, **names)
        return comparing.Members(name, is_group=False, arms=[arm])
    arms = []
    for summary in listed:
        if summary.status in statuses:
            arm = yield from calls.get_arm(experiment, summary.name)
            arms.append(arm)
    left_out = _left_out(listed, statuses)
    return comparing.Members(name, is_group=True, arms=arms, left_out=left_out)


def _arm_or_none(experiment: str, name: str) -> Requests[ArmResult | None]:
    try:
        return (yield from calls.get_arm(experiment, name))
    except NotFoundError as error:
        if error.reason != "ARM_NOT_FOUND":
            raise
        return None


def _unknown_name(
    experiment: str, name: str, kind: str, arms: Iterable[ArmSummary], *, by_group: str, by_arm: str
) -> NotFoundError:
    """Returns the error for an unknown name of an arm or group. Its message suggests similar names.

    If the name is that of a group instead of an arm, the message advises the argument `by_group`.
    If it is that of an arm instead of a group, the message advises `by_arm`.
    """
    groups = {arm.name: arm.group_name for arm in arms}
    text = f"experiment {experiment!r} has no {kind} {name!r}"
    if kind == "group" and name in groups:
        group = groups[name]
        where = "without a group" if group is None else f"in group {group!r}"
        advice = f"give {by_arm} for arms"
        return NotFoundError(f"{text}, but there is an arm of that name {where}; {advice}")
    if kind == "arm" and name in groups.values():
        advice = f"give {by_group} for groups"
        return NotFoundError(f"{text}, but there is a group of that name; {advice}")
    by_kind: dict[str, Iterable[str | None]] = {"arm": groups, "group": groups.values()}
    known = by_kind.get(kind, [*groups, *groups.values()])
    return NotFoundError(text + did_you_mean(name, dict.fromkeys(filter(None, known))))


class _ArmRows(NamedTuple):
    name: str
    group_name: str | None
    evals: list[EvalResult]


def curve(
    experiment: str,
    metric: str,
    names: Strings | None,
    *,
    by_group: bool,
    status: ArmStatuses | None,
) -> Requests[Curves]:
    """Calls ListArms, ListEvals and ListSeries. Returns the values of a metric by step."""
    evals = eval_names(coerce.text(metric, "metric"))
    listed = yield from _arms(experiment)
    chosen, left_out = curve_arms(experiment, listed, names, by_group=by_group, status=status)
    arms, series = [], dict[str, Series]()
    for arm in chosen:
        rows = yield from _in_loop_rows(experiment, arm.name, evals)
        arms.append(_ArmRows(arm.name, arm.group_name, rows))
        series |= yield from _series(experiment, arm, metric)
    found = curves_of(arms, metric, by_group=by_group, left_out=left_out, series=series)
    if arms and not found.curves:
        yield from warn_of_unknown(experiment, metric, "values by step for")
    return found


def curve_arms(
    experiment: str,
    listed: Sequence[ArmSummary],
    names: Strings | None,
    *,
    by_group: bool,
    status: ArmStatuses | None,
) -> tuple[list[ArmSummary], dict[str, str]]:
    """Returns the arms to make curves of, and the arms that are left out because of their status.

    The second value is a dict from the name of each arm that is left out to its status. Raises a
    NotFoundError if one of `names` is unknown.
    """
    wanted = None if names is None else coerce.texts(names, "names")
    chosen = [arm for arm in listed if wanted is None or _name_of(arm, by_group) in wanted]
    found = {_name_of(arm, by_group) for arm in chosen}
    for name in wanted or ():
        if name not in found:
            hints = {"by_group": "by_group=True (--by-group)", "by_arm": "by_group=False"}
            raise _unknown_name(experiment, name, "group" if by_group else "arm", listed, **hints)
    every = tuple(ArmStatus) if wanted is not None and not by_group else _CURVED
    statuses = _statuses(status, every)
    return [arm for arm in chosen if arm.status in statuses], _left_out(chosen, statuses)


def _series(experiment: str, arm: ArmSummary, metric: str) -> Requests[dict[str, Series]]:
    """Returns a dict from the arm's name to its training series of a metric.

    The dict is empty if the arm has no such series.
    """
    if metric not in arm.metrics:
        return {}
    found = yield from calls.series(
        experiment, arm.name, [metric], min_step=None, max_step=None, page_size=None
    )
    return {arm.name: found[metric]} if metric in found else {}


def _name_of(arm: ArmSummary, by_group: bool) -> str:
    return arm.group_name if by_group and arm.group_name is not None else arm.name


def _in_loop_rows(experiment: str, arm: str, names: Strings) -> Requests[list[EvalResult]]:
    rows = []
    for name in names:
        pages = calls.evals(
            experiment,
            arm,
            name=name,
            min_step=_FIRST_STEP,
            max_step=None,
            page_size=DEFAULT_LIMITS.page_rows,
        )
        found = yield from _all(pages)
        rows += found
    return rows


def _arms(experiment: str, group_name: str | None = None) -> Requests[list[ArmSummary]]:
    pages = calls.arms(experiment, group_name=group_name, page_size=DEFAULT_LIMITS.page_rows)
    return (yield from _all(pages))


def _all(pages: Pages[_T]) -> Requests[list[_T]]:
    items: list[_T] = []
    while pages.request is not None:
        items += yield from pages.next_page()
    return items


def _statuses(given: str | Iterable[str] | None, default: Collection[str]) -> Collection[str]:
    if given is None:
        return default
    member = coerce.member_of(ArmStatus)
    return {member(status, "status") for status in one_or_more(given)}


def _left_out(arms: Iterable[ArmSummary], statuses: Collection[str]) -> dict[str, str]:
    return {arm.name: arm.status for arm in arms if arm.status not in statuses}
