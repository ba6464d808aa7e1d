"""`podium arms`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from podium._files import json_form
from podium._values.base import same
from podium._values.enums import ArmStatus
from podium.cli import _format
from podium.cli._arguments import add_arm_filters, add_experiment, add_limit, page_size
from podium.cli._exits import Exit
from podium.cli._suggestions import near_filters
from podium.errors import NotFoundError

if TYPE_CHECKING:
    import argparse

    from podium import ArmSummary, Client, EvalResult
    from podium.cli._console import Console

__all__ = ["add_arguments", "run"]

_HEADERS = (
    "ARM",
    "STATUS",
    "LAST HEARD",
    "GROUP",
    ">EVALS",
    "~EVAL METRICS",
    "~ERROR",
    "~TRAINING METRICS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Lists the arms of an experiment in the order in which they were created. EVAL METRICS\n"
        "are those of the primary eval: the one tagged `test`, or else the first one. An arm\n"
        "that is not completed and has in-loop rows only shows the newest row of that name, and\n"
        "its step. LAST HEARD, for running arms, is when the server last received an event or a\n"
        "heartbeat of the arm."
    )
    parser.epilog = (
        "examples:\n"
        "  podium arms rank_sweep\n"
        "  podium arms rank_sweep --status failed --status cancelled\n"
        "  podium arms rank_sweep --group lora_rank4 --json | jq -r '.[].name'"
    )
    add_experiment(parser)
    add_arm_filters(parser)
    add_limit(parser, "arms")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the arms."""
    found = client.experiment(arguments.experiment).arms(
        status=arguments.status,
        group_name=arguments.group,
        name_prefix=arguments.prefix,
        tags=arguments.tag,
        config=dict(arguments.config),
        run_configs=console.as_json,
        page_size=page_size(arguments.limit),
    )
    arms = islice(found, arguments.limit)
    if console.as_json:
        console.json_list(map(json_form.to_json, arms))
    elif not console.table((_row(arm, client) for arm in arms), *_HEADERS):
        console.note(f"no arms{near_filters(client, arguments)}")
    return Exit.OK


def _row(arm: ArmSummary, client: Client) -> tuple[str, ...]:
    return (
        arm.name,
        arm.status,
        _format.last_heard(arm),
        arm.group_name or "",
        str(arm.eval_count),
        _eval_metrics(arm, client),
        _format.last_line(arm.error),
        _format.metrics(arm.metrics),
    )


def _eval_metrics(arm: ArmSummary, client: Client) -> str:
    row = None if arm.status == ArmStatus.COMPLETED else _newest_row(arm, client)
    if row is None:
        return _format.metrics(arm.eval_metrics)
    return f"{_format.metrics(row.metrics)}  ({row.name} at step {row.step})"


def _newest_row(arm: ArmSummary, client: Client) -> EvalResult | None:
    """Returns the newest row with the name of the primary eval, if the primary eval is in-loop."""
    handle = client.arm(arm.experiment, arm.name)
    try:
        first = next(handle.evals(page_size=1), None)
        if first is None or first.step is None or not same(first.metrics, arm.eval_metrics):
            return None
        row = handle.eval(first.name)
    except NotFoundError:  # the arm was deleted after it was listed
        return None
    return None if row is None or row.step is None else row
