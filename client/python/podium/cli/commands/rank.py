"""`podium rank`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podium import plots
from podium._files import json_form
from podium._model.rankings import GroupRanking
from podium._values.enums import ArmStatus, Direction, RankFlag, ScoreOrigin
from podium.cli import _format
from podium.cli._arguments import add_arm_filters, add_experiment, arm_filters, positive
from podium.cli._columns import add_columns, cells, of_arms
from podium.cli._exits import CommandError, Exit
from podium.cli._pictures import add_picture, draw
from podium.cli._suggestions import near_metrics
from podium.ranking import mixed_evals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from podium import Client, RankedArm, RankedGroup, Ranking, RankSource
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]

_ARM_HEADERS = (">RANK", "ARM", ">SCORE", "SOURCE", "~BENCHMARK", "GROUP", "STATUS", "FLAGS")
_GROUP_HEADERS = (
    ">RANK", "GROUP", ">MEAN", ">±95%", ">SD", ">N", ">MIN", ">MAX", "~NOT COUNTED", "~FLAGS",
)  # fmt: skip
_SHOWN_SOURCES = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Ranks the completed arms of an experiment by their scores, on its success metric and in\n"
        "its direction by default. Equal scores share a rank; NaN comes after every number, and\n"
        "arms without a score come last. With --by-group, each entry is a group, such as the\n"
        "seeds of one configuration. It has the mean with half the width of its 95% interval\n"
        "(Student's t), the standard deviation (n - 1) and the number N of scores: 2/3 if one of\n"
        "three members is not counted. NOT COUNTED gives the reason. An arm without a group is a\n"
        "group of its own. The line below the table counts everything that the table leaves out."
    )
    parser.epilog = (
        "examples:\n"
        "  podium rank rank_sweep --top 10\n"
        "  podium rank rank_sweep val.loss --minimize\n"
        "  podium rank rank_sweep --column config.seed --column config.algorithm.params.lr\n"
        "  podium rank rank_sweep --by-group --min-members 3 --plot ranking.svg\n"
        "  podium rank rank_sweep --json | jq -r '.arms[0].arm'"
    )
    add_experiment(parser)
    parser.add_argument(
        "positional_metric", metavar="METRIC", nargs="?", help="the same as --metric"
    )
    parser.add_argument("--metric", help="the metric to rank by (default: the success metric)")
    direction = parser.add_mutually_exclusive_group()
    for word, which in ((Direction.MAXIMIZE, "greater"), (Direction.MINIMIZE, "smaller")):
        direction.add_argument(
            f"--{word}",
            dest="direction",
            action="store_const",
            const=word,
            help=f"the {which} scores are better, regardless of the experiment's direction",
        )
    parser.add_argument("--by-group", action="store_true", help="rank groups of arms")
    parser.add_argument(
        "--min-members",
        type=positive,
        metavar="N",
        help="only groups with at least N scores (with --by-group)",
    )
    parser.add_argument(
        "--top", type=positive, metavar="K", help="show only the first K arms or groups"
    )
    add_columns(parser, "also show these columns of each arm")
    add_arm_filters(parser, "rank the arms with this status instead of the completed ones")
    add_picture(parser, "--plot", "also draw the ranking")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if benchmarks differ, or if configurations differ within a group",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Ranks the arms, or the groups."""
    _check(arguments)
    found = _ranked(arguments, client)
    doubts = list(_doubts(found))
    if arguments.strict and doubts:
        raise CommandError(f"not comparable: {'; '.join(doubts)}")
    if console.as_json:
        console.json(json_form.to_json(found))
    else:
        columns = arguments.column
        records = of_arms(client, arguments.experiment, columns, **arm_filters(arguments))
        _show(found, columns, records, console)
        for doubt in doubts:
            console.note(doubt)
    if arguments.picture:
        draw(plots.save_ranking, found, arguments, console)
    counts = found.counts
    if counts.without_score and not counts.numbers + counts.nans:
        if not console.as_json:
            near = near_metrics(client, arguments.experiment, found.metric)
            console.note(f"no arm has a score on {found.metric!r}{near}")
        return Exit.NOTHING
    return Exit.OK


def _check(arguments: argparse.Namespace) -> None:
    """Raises an error for arguments that exclude each other, and sets the metric."""
    if None not in (arguments.metric, arguments.positional_metric):
        raise CommandError(
            f"two metrics are given, {arguments.positional_metric!r} and --metric "
            f"{arguments.metric!r}; leave one out"
        )
    arguments.metric = arguments.metric or arguments.positional_metric
    if arguments.by_group and arguments.column:
        raise CommandError("--column is for arms: leave --by-group out")
    if arguments.min_members is not None and not arguments.by_group:
        raise CommandError("--min-members is for groups: give --by-group as well")


def _ranked(arguments: argparse.Namespace, client: Client) -> Ranking | GroupRanking:
    experiment = client.experiment(arguments.experiment)
    filters = arm_filters(arguments)
    if not arguments.by_group:
        return experiment.rank(
            arguments.metric,
            direction=arguments.direction,
            **filters,
            top=arguments.top,
        )
    return experiment.rank_groups(
        arguments.metric,
        direction=arguments.direction,
        **filters,
        min_members=arguments.min_members or 0,
        top=arguments.top,
    )


def _show(
    found: Ranking | GroupRanking,
    columns: list[str],
    records: Mapping[str, Mapping[str, Any]],
    console: Console,
) -> None:
    if isinstance(found, GroupRanking):
        shown = console.table(map(_group_row, found.groups), *_GROUP_HEADERS)
    else:
        rows = [(*_arm_row(arm), *cells(records.get(arm.arm, {}), columns)) for arm in found.arms]
        shown = console.table(rows, *_ARM_HEADERS, *columns)
    if shown:
        console.line()
    console.line(_summary(found))
    if found.sources:
        console.line(f"scores from {_sources(found.sources)}; revision {found.revision}")


def _arm_row(arm: RankedArm) -> tuple[str, ...]:
    source = arm.source
    return (
        _digits(arm.rank, ",d"),
        arm.arm,
        "" if arm.score is None else _format.number(arm.score),
        "" if source is None else _place(source.origin, source.eval_name, source.step),
        arm.benchmark_id or "",
        arm.group_name or "",
        "" if arm.status == ArmStatus.COMPLETED else arm.status,
        ", ".join(map(_words, arm.flags)),
    )


def _group_row(group: RankedGroup) -> tuple[str, ...]:
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
        _digits(group.rank, ",d"),
        group.name,
        _digits(found.mean, ".6g"),
        _digits(found.half_width, ".2g"),
        _digits(found.sd, ".2g"),
        f"{found.n}/{group.members}" if not_counted else str(found.n),
        _digits(found.min if group.members > 1 else None, ".6g"),
        _digits(found.max if group.members > 1 else None, ".6g"),
        ", ".join(not_counted),
        ", ".join(_words(flag) for flag in group.flags if flag != RankFlag.NAN),
    )


def _digits(number: float | None, form: str) -> str:
    return "" if number is None else format(number, form)


def _words(flag: str) -> str:
    return flag.replace("_", " ")


def _place(origin: str, eval_name: str | None, step: int | None = None) -> str:
    """Returns the source of a score in one or two words."""
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


def _summary(found: Ranking | GroupRanking) -> str:
    """Returns a line that counts the ranked entries and everything else."""
    counts = found.counts
    not_counted = [(counts.nans, "NaN"), (counts.without_score, "without a score")]
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


def _sources(sources: list[RankSource]) -> str:
    """Returns the most frequent sources of scores."""
    parts = [
        _place(source.origin, source.eval_name)
        + ("" if source.benchmark_id is None else f" of benchmark {source.benchmark_id}")
        + ("" if len(sources) == 1 else f" ({source.scores:,})")
        for source in sources[:_SHOWN_SOURCES]
    ]
    more = len(sources) - len(parts)
    return ", ".join(parts) + (f" and {more:,} more" if more else "")


def _doubts(found: Ranking | GroupRanking) -> Iterator[str]:
    """Yields the reasons why the scores should not be compared."""
    mixed = mixed_evals((source.eval_name, source.benchmark_id) for source in found.sources)
    for name in sorted(mixed):
        yield f"eval {name} has rows of different benchmarks; `--json` lists every benchmark_id"
    if isinstance(found, GroupRanking):
        flagged = [g.name for g in found.groups if RankFlag.CONFIGS_DIFFER in g.flags]
        if flagged:
            yield f"configurations differ in more than name and seed within {', '.join(flagged)}"
