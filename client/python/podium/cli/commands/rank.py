"""`podium rank`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium import jsonform
from podium._enums import ArmStatus, Direction, ScoreOrigin
from podium.cli import _format
from podium.cli._arguments import add_experiment, add_statuses, positive
from podium.cli._exits import Exit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from podium import ArmCounts, Client, RankedArm, Ranking, ScoreSource
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]

_HEADERS = (">RANK", "ARM", ">SCORE", "SOURCE", "~BENCHMARK", "GROUP", "FLAGS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Ranks the completed arms of an experiment by their scores, on its success metric and in\n"
        "its direction unless told otherwise. Equal scores share a rank; NaN comes after every\n"
        "number, and arms without a score come last. The line below the table says what is not\n"
        "in it."
    )
    parser.epilog = (
        "examples:\n"
        "  podium rank rank_sweep --top 10\n"
        "  podium rank rank_sweep --metric val.loss --minimize\n"
        "  podium rank rank_sweep --json | jq -r '.arms[0].arm'"
    )
    add_experiment(parser)
    parser.add_argument("--metric", help="what to rank by (default: the success metric)")
    direction = parser.add_mutually_exclusive_group()
    for word, which in ((Direction.MAXIMIZE, "greater"), (Direction.MINIMIZE, "smaller")):
        direction.add_argument(
            f"--{word}",
            dest="direction",
            action="store_const",
            const=word,
            help=f"the {which} score is better, whatever the experiment says",
        )
    parser.add_argument("--top", type=positive, metavar="K", help="only the first K")
    add_statuses(parser, ArmStatus, "rank those with this status (default: completed)")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Ranks the arms."""
    found = client.experiment(arguments.experiment).rank(
        arguments.metric,
        direction=arguments.direction,
        status=arguments.status,
        top=arguments.top,
    )
    if console.as_json:
        console.json(jsonform.ranking_to_json(found))
        return Exit.OK
    if console.table(map(_row, found.arms), *_HEADERS):
        console.line()
    console.line(_summary(found))
    return Exit.OK


def _row(arm: RankedArm) -> tuple[str, ...]:
    return (
        "" if arm.rank is None else str(arm.rank),
        arm.arm,
        "" if arm.score is None else _format.number(arm.score),
        "" if arm.source is None else _source(arm.source),
        arm.benchmark_id or "",
        arm.group_name or "",
        " ".join(arm.flags),
    )


def _source(source: ScoreSource) -> str:
    match source.origin:
        case ScoreOrigin.POST_TRAINING_EVAL:
            return f"{source.eval_name}"
        case ScoreOrigin.IN_LOOP_EVAL:
            return f"{source.eval_name} at {source.step}"
        case ScoreOrigin.TRAINING_METRICS:
            return "training"
        case ScoreOrigin.GIVEN_EVAL_METRICS:
            return "given"
        case unknown:
            return unknown


def _summary(found: Ranking) -> str:
    """What was ranked, and what became of everything that was not."""
    counts = found.counts
    aside = [
        *([f"{counts.nans:,} NaN"] if counts.nans else []),
        *([f"{counts.without_score:,} without a score"] if counts.without_score else []),
        *_left_out(counts.left_out),
    ]
    shown = sum(arm.rank is not None for arm in found.arms)
    first = "" if shown >= counts.numbers + counts.nans else f", the first {shown:,} shown"
    return (
        f"{found.metric}, {found.direction}: {_format.count(counts.numbers, 'arm')} ranked{first}"
        f"{'; ' if aside else ''}{', '.join(aside)} (revision {found.revision})"
    )


def _left_out(counts: ArmCounts) -> Iterator[str]:
    return (f"{count:,} {status} left out" for status, count in vars(counts).items() if count)
