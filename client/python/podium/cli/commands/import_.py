"""Imports results that other tools wrote, from a file or a tree of folders.

Detects the kind of each file. Importing the same files again changes nothing. Files that
cannot be imported are listed, and all other files are imported.

Examples:
  podium import results/ --dry-run
  podium import mlruns/
  podium import out/results.json --experiment nlp/baselines
  podium import scores.csv --map arm=model,step=iteration,metric=acc,metric=f1

exit codes: 0 everything was imported; 1 nothing was found, or there was a problem with a
file; 2 usage; 3 server error
"""

import argparse

from podium import Client
from podium._values.shorten_text import first_names
from podium.cli import _format
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit
from podium.importing import (
    ImportReport,
    NotImported,
    broken_importers,
    import_results,
    importers,
    mapping_from_texts,
)

__all__ = ["add_arguments", "run"]

_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    known = importers()
    width = max(map(len, known))
    table = "\n".join(f"  {kind:{width}}  {known[kind].summary}" for kind in sorted(known))
    parser.description = f"{parser.description}\n\nkinds:\n{table}"
    parser.add_argument("path", metavar="PATH", help="a file or folder")
    kinds = sorted({*known, *broken_importers()})
    parser.add_argument(
        "--kind", choices=kinds, help="the kind of all files; detected if not given"
    )
    parser.add_argument(
        "--map",
        action="append",
        metavar="FIELD=COLUMN,…",
        help="the columns of CSV or JSON lines: arm (several), step, metric (several), value, "
        "eval, experiment, group, seed, config (several)",
    )
    parser.add_argument("--experiment", metavar="NAME", help="import all arms into this experiment")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read everything and show what would change, but record nothing",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also overwrite arms that a training run has recorded or that were imported "
        "from another run, and delete eval rows that are not in the source",
    )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Imports results, and prints a report."""
    try:
        report = import_results(
            client,
            arguments.path,
            kind=arguments.kind,
            mapping=mapping_from_texts(arguments.map) if arguments.map else None,
            experiment=arguments.experiment,
            replace=arguments.replace,
            dry_run=arguments.dry_run,
            on_progress=lambda done, total: console.progress(done, total, "files or folders read"),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    _print_report(report, console, dry_run=arguments.dry_run)
    has_problems = any(item.is_wrong for item in report.not_imported)
    return Exit.NOTHING if has_problems or not report.experiments else Exit.OK


def _print_report(report: ImportReport, console: Console, *, dry_run: bool) -> None:
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
    for item in report.not_imported:
        console.note(_line(item))
    for note in report.notes:
        console.note(f"{note.source}: {note.text}")
    for name, count in report.experiments.items():
        if count.changed:
            console.note(f"{name}: replaces the stored results of: {first_names(count.changed)}")
    if report.other_files:
        console.note(_other_files(report))
    console.line(_summary(report, dry_run=dry_run))


def _other_files(report: ImportReport) -> str:
    endings = [f"{ending} {count:,}" for ending, count in report.other_files.most_common()]
    files = _format.count(report.other_files.total(), "file")
    has_tables = any(report.other_files[ending] for ending in _TABLES)
    advice = "; tables such as CSV need --map" if has_tables else ""
    return f"{files} of no known kind, not read: {first_names(endings)}{advice}"


def _line(item: NotImported) -> str:
    return f"{item.source}: {'' if item.is_wrong else 'left out: '}{item.why}"


def _summary(report: ImportReport, *, dry_run: bool) -> str:
    wrong = sum(item.count for item in report.not_imported if item.is_wrong)
    skipped = sum(item.count for item in report.not_imported if not item.is_wrong)
    if not (report.experiments or report.not_imported):
        return "no importable files were found; --help lists the kinds"
    parts = [
        f"{_format.count(report.recorded, 'arm')} {'would be ' if dry_run else ''}recorded",
        f"{report.changed:,} of them in place of other results" if report.changed else "",
        f"{report.unchanged:,} unchanged" if report.unchanged else "",
        f"{_format.count(skipped, 'item')} left out" if skipped else "",
        _format.count(wrong, "problem") if wrong else "",
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
        "not_imported": [
            {"source": item.source, "why": item.why, "is_wrong": item.is_wrong, "count": item.count}
            for item in report.not_imported
        ],
        "notes": [note._asdict() for note in report.notes],
        "other_files": dict(report.other_files),
    }
