"""Lists the metrics on which arms of an experiment have scores.

The names are in the form that `podium score` accepts. For each metric, ARMS is the number
of arms that have a score on it, and FROM names the sources of these scores.

Example:
  podium metrics rank_sweep --json | jq -r '.[].name'
"""

import argparse

from podium import Client, Metric
from podium._files import json_form
from podium.cli import _format
from podium.cli._arguments import add_experiment
from podium.cli._console import Console
from podium.cli._exits import Exit

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Lists the metrics."""
    found = client.experiment(arguments.experiment).metrics()
    if console.as_json:
        console.json_list(map(json_form.to_json, found))
    elif not console.table(map(_row, found), "METRIC", ">ARMS", "FROM"):
        console.note("no metrics")
    return Exit.OK


def _row(metric: Metric) -> tuple[str, ...]:
    sources = (f"{_format.words(source.origin)} ({source.arms:,})" for source in metric.sources)
    return metric.name, f"{metric.arms:,}", ", ".join(sources)
