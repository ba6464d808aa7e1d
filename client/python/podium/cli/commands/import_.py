"""`podium import`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from podium.cli import _format
from podium.cli._exits import CommandError, Exit
from podium.importing import broken_importers, import_results, importers

if TYPE_CHECKING:
    import argparse

    from podium import Client
    from podium.cli._console import Console
    from podium.importing import ImportReport, Left

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    known = importers()
    width = max(map(len, known))
    table = "\n".join(f"  {kind:{width}}  {known[kind].summary}" for kind in sorted(known))
    parser.description = (
        "Brings in results that other tools have left on disk: a file, or a whole tree of them.\n"
        "What kind each is, it finds out itself. To import the same again changes nothing; what\n"
        f"cannot be brought in is named, and the rest goes on.\n\nkinds:\n{table}"
    )
    parser.epilog = (
        "examples:\n"
        "  podium import results/ --dry-run\n"
        "  podium import mlruns/\n"
        "  podium import out/results.json --experiment nlp/baselines\n\n"
        "exit codes: 0 everything came in; 1 nothing was found, or something is wrong with a\n"
        "file; 2 usage; 3 server error"
    )
    parser.add_argument("path", metavar="PATH", help="a file or folder")
    kinds = sorted({*known, *broken_importers()})
    parser.add_argument("--kind", choices=kinds, help="what it is, if not found out")
    parser.add_argument("--experiment", metavar="NAME", help="the experiment that all arms go to")
    parser.add_argument(
        "--dry-run", action="store_true", help="read everything, and record nothing"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="record arms also over those that trainers recorded, or that got rows since",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Imports, and says what became of it."""
    try:
        report = import_results(
            None if arguments.dry_run else client,
            arguments.path,
            kind=arguments.kind,
            experiment=arguments.experiment,
            replace=arguments.replace,
            on_progress=lambda done, total: console.progress(done, total, "places read"),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    _tell(report, console, dry_run=arguments.dry_run)
    wrong = any(left.is_wrong for left in report.left)
    return Exit.NOTHING if wrong or not report.experiments else Exit.OK


def _tell(report: ImportReport, console: Console, *, dry_run: bool) -> None:
    if console.as_json:
        console.json(_json(report, dry_run=dry_run))
        return
    console.table(
        (
            (name, count.kind, f"{count.recorded:,}", f"{count.unchanged:,}", f"{count.evals:,}")
            for name, count in report.experiments.items()
        ),
        "EXPERIMENT",
        "KIND",
        ">RECORDED",
        ">UNCHANGED",
        ">EVALS",
    )
    for left in report.left:
        console.note(_line(left))
    console.line(_summary(report, dry_run=dry_run))


def _line(left: Left) -> str:
    return f"{left.source}: {'' if left.is_wrong else 'left out: '}{left.why}"


def _summary(report: ImportReport, *, dry_run: bool) -> str:
    wrong = sum(left.is_wrong for left in report.left)
    if not (report.experiments or report.left):
        return "nothing was found that an importer knows; --help names the kinds"
    parts = [
        f"{_format.count(report.recorded, 'arm')} {'would be ' if dry_run else ''}recorded",
        f"{report.changed:,} of them over other results" if report.changed else "",
        f"{report.unchanged:,} unchanged" if report.unchanged else "",
        f"{len(report.left) - wrong:,} left out" if len(report.left) > wrong else "",
        f"{wrong:,} wrong" if wrong else "",
    ]
    return ", ".join(filter(None, parts))


def _json(report: ImportReport, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "experiments": [
            {
                "experiment": name,
                "kind": count.kind,
                "recorded": count.recorded,
                "changed": count.changed,
                "unchanged": count.unchanged,
                "evals": count.evals,
            }
            for name, count in report.experiments.items()
        ],
        "left": [
            {"source": left.source, "why": left.why, "is_wrong": left.is_wrong}
            for left in report.left
        ],
    }
