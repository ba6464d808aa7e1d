"""Writes a file about an experiment, to attach to a paper or a pull request.

The file has the ranking with intervals, tests of the best group against the others, and
curves. It lists the arms with the settings in which they differ, the arms that are not
counted and why, and the code and machines that produced the results. The file needs no
other file. With the suffix .html it has pictures, with .md it has none.

Examples:
  podium report rank_sweep --output rank_sweep.html
  podium report rank_sweep --metric val.loss --output rank_sweep.md
  podium report rank_sweep --curve loss --curve val.acc --output rank_sweep.html
"""

import argparse
from pathlib import Path

from podium import Client
from podium.cli._arguments import add_experiment, add_several, positive
from podium.cli._console import Console
from podium.cli._documents import as_html, as_markdown
from podium.cli._exits import CommandError, Exit
from podium.cli._output import new_file
from podium.cli._report import report

__all__ = ["add_arguments", "run"]

_FORMS = {".html": as_html, ".htm": as_html, ".md": as_markdown}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_experiment(parser)
    parser.add_argument(
        "--output", metavar="FILE", help="a .html or .md file (default: EXPERIMENT.html)"
    )
    parser.add_argument("--metric", help="the metric to rank by (default: the success metric)")
    text = "draw this metric by step (default: up to three metrics)"
    add_several(parser, "--curve", text, default=None, metavar="METRIC")
    parser.add_argument(
        "--top",
        type=positive,
        default=100,
        metavar="K",
        help="list the first K arms (default: 100)",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Writes the report."""
    if console.as_json:
        raise CommandError("`podium report` has no --json; `podium export` writes JSON")
    name: str = arguments.experiment
    path = arguments.output or f"{name.replace('/', '_')}.html"
    form = _FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise CommandError(f"--output must end with {' or '.join(_FORMS)}, not {path!r}")
    blocks = list(
        report(
            client,
            name,
            metric=arguments.metric,
            curves=arguments.curve,
            most=arguments.top,
            has_pictures=form is as_html,
        )
    )
    with new_file(path) as part:
        part.write_text(form(name, blocks), encoding="utf-8")
    console.note(f"{path} is written")
    return Exit.OK
