"""Compares rankings, wherever they come from, with the naive implementation of the rules."""

import math
import struct
from random import Random

import podium
from podium import ArmResult

from tests.server.ranking import naive
from tests.unit.scoring.bruteforce import random_arm, random_questions, refusal

__all__ = ["STATUSES", "hold_arms", "hold_groups", "random_arms", "random_metric"]

_SCORES = (0.0, -0.0, 0.25, 0.5, 0.5, 0.75, 1.0, math.nan, math.inf, -math.inf)
STATUSES = ("pending", "running", "completed", "failed", "cancelled")


def random_arms(rng: Random, most: int = 12) -> list[ArmResult]:
    """Returns random arms of an experiment. Many are completed, and many have a group."""
    arms = [random_arm(rng, f"arm{number}") for number in range(rng.randrange(most))]
    for arm in arms:
        arm.status = rng.choice((*STATUSES, "completed", "completed", "completed"))
        arm.group_name = rng.choice((None, "g", "g", "h", "a.b"))
        arm.run_config = podium.RunConfig(arm.name, seed=rng.randrange(9))
        arm.run_config.tags = rng.choice(([], [], [], ["t"]))
        if rng.random() < 0.7:
            arm.evals.insert(0, podium.EvalResult("test", metrics={"acc": rng.choice(_SCORES)}))
        for row in arm.evals:
            row.benchmark_id = rng.choice((None, None, row.name, "b"))
        if refusal(arm):
            arm.eval_metrics = {}
    return arms


def random_metric(rng: Random, arms: list[ArmResult]) -> str:
    """Returns a random metric. In most cases some of the arms have a score for it."""
    if not arms or rng.random() < 0.6:
        return rng.choice(("test.acc", "acc"))
    return rng.choice(random_questions(rng, rng.choice(arms)).scores)


def hold_arms(
    found: podium.Ranking, arms: list[ArmResult], statuses: set[str], top: int | None = None
) -> None:
    """Fails if a ranking by arm differs from the naive rules."""
    entries = naive.arms_in_order(arms, found.metric, found.direction, statuses)
    assert [_said(arm) for arm in found.arms] == [_expected(entry) for entry in entries[:top]]
    _hold_counts(found, arms, entries)


def _said(arm: podium.RankedArm) -> tuple[object, ...]:
    source = arm.source and (arm.source.origin, arm.source.key, arm.source.eval_name)
    step = arm.source and arm.source.step
    where = (source, step, arm.benchmark_id, arm.group_name, arm.status)
    return (arm.arm, arm.rank, _bits(arm.score), *where, set(arm.flags))


def _expected(entry: naive.Entry) -> tuple[object, ...]:
    found = entry.score
    source = found and (found.origin, found.key, found.eval_name)
    where = (source, found and found.step, entry.benchmark_id)
    value = found.value if found else None
    flags = {"benchmarks_differ"} if entry.benchmarks_differ else set()
    flags |= {"nan"} if value is not None and math.isnan(value) else set()
    arm = entry.arm
    return (arm.name, entry.place, _bits(value), *where, arm.group_name, arm.status, flags)


def _bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack("<d", value)


def _hold_counts(
    found: podium.Ranking | podium.GroupRanking, arms: list[ArmResult], entries: list[naive.Entry]
) -> None:
    counts = {**vars(found.counts), **vars(found.counts.left_out)}
    del counts["left_out"]
    assert {what: count for what, count in counts.items() if count} == naive.tally(arms, entries)
    sources = {(s.origin, s.eval_name, s.benchmark_id): s.scores for s in found.sources}
    assert sources == naive.sources_of(entries)
    often = [source.scores for source in found.sources]
    assert often == sorted(often, reverse=True)


def hold_groups(
    found: podium.GroupRanking, arms: list[ArmResult], statuses: set[str], least: int = 0
) -> None:
    """Fails if a ranking by group differs from the naive rules."""
    rules = (arms, found.metric, found.direction, statuses)
    groups = naive.groups_in_order(*rules, least)
    assert [group.first_arm for group in found.groups] == [g.members[0].name for g in groups]
    for group, expected in zip(found.groups, groups, strict=True):
        _hold_group(group, expected, statuses)
    places = len([group for group in groups if group.place is not None])
    counts = (places, len(groups) - places, len(naive.groups_in_order(*rules)) - len(groups))
    assert tuple(vars(found.group_counts).values()) == counts
    _hold_counts(found, arms, naive.arms_in_order(*rules))


def _is_close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-12)


def _hold_group(group: podium.RankedGroup, expected: naive.GroupEntry, statuses: set[str]) -> None:
    aside = [arm.status for arm in expected.members if arm.status not in statuses]
    failed = aside.count("failed")
    assert (group.group_name, group.rank, group.members) == (
        expected.name,
        expected.place,
        len(expected.members),
    )
    assert (group.statistics.n, group.nans, group.missing, group.failed, group.left_out) == (
        len(expected.numbers),
        expected.nans,
        expected.missing,
        failed,
        len(aside) - failed,
    )
    assert _is_close(group.statistics.mean, expected.mean)
    assert _is_close(group.statistics.sd, expected.sd)
    assert group.statistics.min == min(expected.numbers, default=None)
    assert group.statistics.max == max(expected.numbers, default=None)
    flags = {
        "nan": expected.nans > 0,
        "benchmarks_differ": expected.benchmarks_differ,
        "configs_differ": expected.configs_differ,
    }
    assert set(group.flags) == {flag for flag, is_set in flags.items() if is_set}
