"""Creates an experiment, or sets its unset fields.

Fields that are already set keep their value, and are listed, unless --overwrite is given.
Each key of the metadata is treated like a field. The value of KEY=VALUE is text, that of
KEY:=VALUE is JSON. --clear removes the value of a field.

Examples:
  podium declare rank_sweep --success-metric test.pass_rate
  podium declare rank_sweep --tag lora --metadata owner=ana --metadata gpus:=8
  podium declare rank_sweep --clear hypothesis --clear metadata.owner
"""

import argparse
from collections.abc import Sequence
from typing import Any

from podium import Client
from podium._files import json_form
from podium._model.results import Experiment
from podium._values.enums import Direction
from podium.cli._arguments import add_experiment, add_several
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, naming_options
from podium.cli._json import describe, loads

__all__ = ["add_arguments", "run"]

_OPTIONS = {
    "hypothesis": "--hypothesis",
    "success_metric": "--success-metric",
    "parent": "--parent",
    "tags": "--tag",
    "metadata": "--metadata",
    "clear_fields": "--clear",
}
"""The option for each field of the `experiment_declared` event."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "--hypothesis", metavar="TEXT", help="the hypothesis that the experiment tests"
    )
    parser.add_argument(
        "--success-metric", metavar="METRIC", help="the metric by which arms are ranked"
    )
    parser.add_argument(
        "--direction",
        choices=[str(direction) for direction in Direction],
        help="whether greater or smaller scores are better",
    )
    parser.add_argument(
        "--parent",
        metavar="EXPERIMENT",
        help="the name of the experiment that this experiment continues",
    )
    add_several(parser, "--tag", "a label")
    add_several(parser, "--metadata", "further data", type=_metadata, metavar="KEY=VALUE")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace values that are already set"
    )
    text = (
        "a field to clear: hypothesis, success_metric, conclusion, parent, direction, tags, "
        "metadata or metadata.KEY"
    )
    add_several(parser, "--clear", text, metavar="FIELD")


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Declares the experiment."""
    with naming_options("experiment_declared", _OPTIONS):
        result = client.experiment(arguments.experiment).declare(
            hypothesis=arguments.hypothesis,
            success_metric=arguments.success_metric,
            direction=arguments.direction,
            parent=arguments.parent,
            tags=arguments.tag,
            metadata=_read(arguments.metadata),
            overwrite=arguments.overwrite,
            clear_fields=arguments.clear,
        )
    kept = [field.path for field in result.kept_fields]
    if console.as_json:
        values = {"revision": result.revision, "changed_events": result.changed_events}
        console.json(values | {"kept_fields": kept})
        return Exit.OK
    console.line(f"experiment {arguments.experiment!r} is declared; revision {result.revision}")
    if kept:
        console.note(f"unchanged: {', '.join(kept)}; --overwrite changes them")
    return Exit.OK


def _metadata(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"give KEY=VALUE or KEY:=JSON, not {text!r}")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r}: {describe(error)}") from error


def _read(metadata: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    try:
        given = {"name": "", "metadata": dict(metadata)}
        return json_form.record_from_json(Experiment, given, "experiment").metadata
    except ValueError as error:
        raise CommandError(str(error)) from error
