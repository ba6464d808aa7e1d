"""Formats a ranking: the rows of its table, and a summary of what the table leaves out."""

from collections.abc import Iterator

from podium import RankedArm, RankedGroup, Ranking, RankSource
from podium._model.rankings import GroupRanking
from podium._values.enums import ArmStatus, RankFlag, ScoreOrigin
from podium.cli import _format
from podium.ranking import mixed_evals

__all__ = ["ARM_HEADERS", "GROUP_HEADERS", "arm_row", "doubts", "group_row", "sources", "summary"]

ARM_HEADERS = (">RANK", "ARM", ">SCORE", "SOURCE", "~BENCHMARK", "GROUP", "STATUS", "FLAGS")
GROUP_HEADERS = (
    ">RANK", "GROUP", ">MEAN", ">±95%", ">SD", ">N", ">MIN", ">MAX", "~NOT COUNTED", "~FLAGS",
)  # fmt: skip
_SHOWN_SOURCES = 3


def arm_row(arm: RankedArm) -> tuple[str, ...]:
    """Returns the table cells of an arm, in the order of ARM_HEADERS."""
    source = arm.source
    return (
        _format.digits(arm.rank, ",d"),
        arm.arm,
        "" if arm.score is None else _format.number(arm.score),
        "" if source is None else _place(source.origin, source.eval_name, source.step),
        arm.benchmark_id or "",
        arm.group_name or "",
        "" if arm.status == ArmStatus.COMPLETED else arm.status,
        ", ".join(map(_format.words, arm.flags)),
    )


def group_row(group: RankedGroup) -> tuple[str, ...]:
    """Returns the table cells of a group, in the order of GROUP_HEADERS."""
    found = group.statistics
    not_counted = _counted(
        [
            (group.nans, "NaN"),
            (group.missing, "without a score"),
            (group.failed, "failed"),
            (group.left_out, "left out"),
        ]
    )
    return (
        _format.digits(group.rank, ",d"),
        group.name,
        _format.digits(found.mean, ".6g"),
        _format.digits(found.half_width, ".2g"),
        _format.digits(found.sd, ".2g"),
        f"{found.n}/{group.members}" if not_counted else str(found.n),
        _format.digits(found.min if group.members > 1 else None, ".6g"),
        _format.digits(found.max if group.members > 1 else None, ".6g"),
        ", ".join(not_counted),
        ", ".join(_format.words(flag) for flag in group.flags if flag != RankFlag.NAN),
    )


def _place(origin: str, eval_name: str | None, step: int | None = None) -> str:
    """Returns the source of a score in a few words, such as `val at 100` or `training`."""
    match origin:
        case ScoreOrigin.POST_TRAINING_EVAL:
            return eval_name or ""
        case ScoreOrigin.IN_LOOP_EVAL:
            return f"{eval_name} in-loop" if step is None else f"{eval_name} at {step}"
        case ScoreOrigin.TRAINING_METRICS:
            return "training"
        case ScoreOrigin.GIVEN_EVAL_METRICS:
            return "given"
        case unknown:
            return unknown


def summary(found: Ranking | GroupRanking) -> str:
    """Returns a line with the numbers of ranked entries and of those that are not counted."""
    counts = found.counts
    arms = "arm" if counts.without_score == 1 else "arms"
    not_counted = [(counts.nans, "NaN"), (counts.without_score, f"{arms} without a score")]
    left_out = vars(counts.left_out).items()
    parts = [
        f"{counts.numbers:,} {'score' if counts.numbers == 1 else 'scores'}",
        *_counted(not_counted),
        *_counted([(count, f"{status} left out") for status, count in left_out]),
    ]
    return f"{found.metric}, {found.direction}: {_entries(found)}{', '.join(parts)}"


def _entries(found: Ranking | GroupRanking) -> str:
    if isinstance(found, GroupRanking):
        groups = found.group_counts
        shown = sum(group.rank is not None for group in found.groups)
        not_counted = [(groups.without_mean, "without a mean"), (groups.too_small, "too small")]
        parts = [_format.count(groups.ranked, "group"), *_counted(not_counted)]
        return f"{_first(shown, groups.ranked)}{', '.join(parts)}; "
    ranked = found.counts.numbers + found.counts.nans
    return _first(sum(arm.rank is not None for arm in found.arms), ranked)


def _first(shown: int, ranked: int) -> str:
    return f"the first {shown:,} of " if shown < ranked else ""


def _counted(parts: list[tuple[int, str]]) -> list[str]:
    return [f"{count:,} {what}" for count, what in parts if count]


def sources(sources: list[RankSource]) -> str:
    """Returns the most frequent sources of scores, in one line."""
    parts = [
        _place(source.origin, source.eval_name)
        + ("" if source.benchmark_id is None else f" of benchmark {source.benchmark_id}")
        + ("" if len(sources) == 1 else f" ({source.scores:,})")
        for source in sources[:_SHOWN_SOURCES]
    ]
    more = len(sources) - len(parts)
    return ", ".join(parts) + (f" and {more:,} more" if more else "")


def doubts(found: Ranking | GroupRanking) -> Iterator[str]:
    """Yields the reasons why the scores of a ranking should not be compared, if there are any."""
    mixed = mixed_evals((source.eval_name, source.benchmark_id) for source in found.sources)
    for name in sorted(mixed):
        yield f"eval {name} has rows of different benchmarks; `--json` lists every benchmark_id"
    if isinstance(found, GroupRanking):
        flagged = [g.name for g in found.groups if RankFlag.CONFIGS_DIFFER in g.flags]
        if flagged:
            yield f"configurations differ in more than name and seed within {', '.join(flagged)}"
