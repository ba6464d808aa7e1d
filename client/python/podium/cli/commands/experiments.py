"""Lists experiments by name.

Examples:
  podium experiments --prefix nlp/ --status completed
  podium experiments --json | jq -r '.[].name'
"""

import argparse
from itertools import islice

from podium import Client, Experiment
from podium._files import json_form
from podium._values.enums import ExperimentStatus
from podium.cli import _format
from podium.cli._arguments import add_filters, add_limit, page_size
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["add_arguments", "run"]

_HEADERS = (
    "EXPERIMENT",
    "STATUS",
    ">ARMS",
    ">DONE",
    ">FAILED",
    "~SUCCESS METRIC",
    "UPDATED",
    "~TAGS",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_filters(parser, "experiments", ExperimentStatus)
    add_limit(parser, "experiments")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the experiments."""
    found = client.experiments(
        name_prefix=arguments.prefix,
        status=arguments.status,
        tags=arguments.tag,
        page_size=page_size(arguments.limit),
    )
    experiments = islice(found.stream(), arguments.limit)
    if console.as_json:
        console.json_list(map(json_form.to_json, experiments))
    elif not console.table(map(_row, experiments), *_HEADERS):
        console.note("no experiments")
    return Exit.OK


def _row(experiment: Experiment) -> tuple[str, ...]:
    counts = experiment.arm_counts
    return (
        experiment.name,
        experiment.status,
        str(counts.total),
        str(counts.completed),
        str(counts.failed),
        experiment.success_metric or "",
        _format.moment(experiment.update_time),
        " ".join(experiment.tags),
    )
