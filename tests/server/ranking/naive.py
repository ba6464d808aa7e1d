"""A second, naive implementation of the rules of rankings.

It shares no rules with `podium.scoring`, `podium.ranking` or the server. The scores come from the
naive rules in `bruteforce`. For each arm or group, the better ones are counted to find its rank.

In this module, a number is a score that is not NaN. It may be infinite.
"""

import math
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from podium import ArmResult
from podium.scoring import Score

from tests.unit.scoring.bruteforce import eval_answer, score_answer

__all__ = ["Entry", "GroupEntry", "arms_in_order", "groups_in_order", "sources_of", "tally"]


@dataclass
class Entry:
    """An arm in a ranking."""

    arm: ArmResult
    score: Score | None
    benchmark_id: str | None
    place: int | None = None
    benchmarks_differ: bool = False


@dataclass
class GroupEntry:
    """A group in a ranking.

    Attributes:
        members: All arms of the group, even those with other statuses than the ranked ones.
        numbers: The numbers of the ranked arms.
        nans: How many ranked arms have the score NaN.
        missing: How many ranked arms have no score.
    """

    name: str | None
    members: list[ArmResult]
    numbers: list[float]
    nans: int
    missing: int
    place: int | None = None
    benchmarks_differ: bool = False
    configs_differ: bool = False

    @property
    def mean(self) -> float | None:
        """The mean of the numbers. It is None if there are none, or if both infinities occur."""
        if not self.numbers:
            return None
        if {math.inf, -math.inf} <= set(self.numbers):
            return None
        infinite = [number for number in self.numbers if math.isinf(number)]
        return infinite[0] if infinite else fmean(self.numbers)

    @property
    def sd(self) -> float | None:
        """The standard deviation of two or more numbers. It is None if one is infinite."""
        finite = all(map(math.isfinite, self.numbers))
        return stdev(self.numbers) if finite and len(self.numbers) > 1 else None


def arms_in_order(
    arms: list[ArmResult], metric: str, direction: str, statuses: set[str]
) -> list[Entry]:
    """Returns the arms that have one of the statuses, the best one first."""
    entries = [_entry(arm, metric) for arm in arms if arm.status in statuses]
    numbers = [entry for entry in entries if _is_number(entry)]
    nans = [entry for entry in entries if entry.score and math.isnan(entry.score.value)]
    for entry in numbers:
        better = [other for other in numbers if _is_better(other, entry, direction)]
        entry.place = 1 + len(better)
    for entry in nans:
        entry.place = 1 + len(numbers)
    for entry in entries:
        name = entry.score and entry.score.eval_name
        entry.benchmarks_differ = name in _mixed(entries)
    last = len(entries) + 1
    return sorted(entries, key=lambda entry: entry.place or last)


def groups_in_order(
    arms: list[ArmResult], metric: str, direction: str, statuses: set[str], least: int = 0
) -> list[GroupEntry]:
    """Returns the groups with at least `least` numbers, the best mean first."""
    entries = arms_in_order(arms, metric, direction, statuses)
    groups = [_group(members, entries) for members in _grouped(arms)]
    large = [group for group in groups if len(group.numbers) >= least]
    for group in large:
        if group.mean is not None:
            sign = -1 if direction == "minimize" else 1
            means = [other.mean for other in large if other.mean is not None]
            group.place = 1 + len([m for m in means if sign * m > sign * group.mean])
    last = len(large) + 1
    return sorted(large, key=lambda group: group.place or last)


def sources_of(entries: list[Entry]) -> Counter[Any]:
    """Counts the scores by source."""
    return Counter(
        (entry.score.origin, entry.score.eval_name, entry.benchmark_id)
        for entry in entries
        if entry.score
    )


def tally(arms: list[ArmResult], entries: list[Entry]) -> dict[str, int]:
    """Counts the ranked arms with a number, with the score NaN, and without a score.

    Counts the other arms by status.
    """
    ranked = {entry.arm.name for entry in entries}
    counts = Counter(str(arm.status) for arm in arms if arm.name not in ranked)
    counts["numbers"] = len([entry for entry in entries if _is_number(entry)])
    counts["without_score"] = len([entry for entry in entries if entry.score is None])
    counts["nans"] = len(entries) - counts["numbers"] - counts["without_score"]
    return {what: count for what, count in counts.items() if count}


def _entry(arm: ArmResult, metric: str) -> Entry:
    found = score_answer(arm, metric)
    row = eval_answer(arm, found.eval_name, found.step) if found and found.eval_name else None
    return Entry(arm, found, row.benchmark_id if row else None)


def _is_number(entry: Entry) -> bool:
    return entry.score is not None and not math.isnan(entry.score.value)


def _is_better(one: Entry, other: Entry, direction: str) -> bool:
    assert one.score
    assert other.score
    if direction == "minimize":
        return one.score.value < other.score.value
    return one.score.value > other.score.value


def _mixed(entries: list[Entry]) -> set[str]:
    """Returns the names of the evals for which two arms have different benchmarks."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        if entry.score and entry.score.eval_name:
            name = entry.score.eval_name
            found.setdefault(name, set()).add(entry.benchmark_id or name)
    return {name for name in found if len(found[name]) > 1}


def _grouped(arms: list[ArmResult]) -> list[list[ArmResult]]:
    """Returns the arms by group. The groups are in the order of their first arms."""
    groups: list[list[ArmResult]] = []
    for arm in arms:
        for group in groups:
            if arm.group_name is not None and group[0].group_name == arm.group_name:
                group.append(arm)
                break
        else:
            groups.append([arm])
    return groups


def _group(members: list[ArmResult], entries: list[Entry]) -> GroupEntry:
    names = [arm.name for arm in members]
    mine = [entry for entry in entries if entry.arm.name in names]
    scores = [entry.score.value for entry in mine if entry.score]
    numbers = [score for score in scores if not math.isnan(score)]
    configs = [entry.arm.run_config for entry in mine]
    return GroupEntry(
        members[0].group_name,
        members,
        numbers,
        len(scores) - len(numbers),
        len(mine) - len(scores),
        benchmarks_differ=any(entry.benchmarks_differ for entry in mine),
        configs_differ=any(_plain(config) != _plain(configs[0]) for config in configs),
    )


def _plain(config: Any) -> dict[str, Any]:
    """Returns the fields of a configuration, except for its name, its seed and empty fields."""
    said = {name: value for name, value in vars(config).items() if name not in {"name", "seed"}}
    return {
        name: value
        for name, value in said.items()
        if value and (isinstance(value, list | dict) or any(vars(value).values()))
    }
