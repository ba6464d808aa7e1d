r"""Records arms and events from JSON: one object, a list of them, or JSON lines.

An object with the key "event" is an event of that kind. Any other object is an arm, as
`podium show EXPERIMENT ARM --json` writes it. The experiment must exist, or the file must begin
with its declaration. Without EXPERIMENT each object must name it ("experiment"), as the
objects of `podium export` do.

Everything is read and checked before anything is sent. Input that fits into one call
(1,000 events, 10,000 metric values, 4 MB) is recorded as a whole or not at all. Larger
input, or a server with lower limits, takes several calls, one after the other. Recording
the same file again changes nothing.

Examples:
  podium record rank_sweep arms.jsonl
  podium show rank_sweep lora_rank4 --json | podium record other_sweep -
  podium export | podium --address backup:50051 record -
  podium record rank_sweep - <<< \
    '{"event": "eval_recorded", "arm": "lora_rank4", "eval_result":
      {"name": "test", "tags": ["test"], "metrics": {"pass_rate": 0.61}}}'
"""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Self

from podium import Client, RecordResult
from podium._files.event_json import event_from_json
from podium._limits.batches import Batch, batches, record_all
from podium.cli import _format
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit, exit_of, text_of
from podium.cli._input import name_of, read_items
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event

__all__ = ["add_arguments", "run"]

_SHOWN_PLACES = 10
_UNKNOWN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN"})
"""Error codes after which a call may have been stored, if the error has no reason."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        nargs="?",
        help="the experiment for all objects; if not given, the one that each object names",
    )
    parser.add_argument("file", metavar="FILE", help="the file; - for standard input")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also replace arms that have attempts, or rows that were recorded later",
    )


class _Sum(NamedTuple):
    """The sums of the results of all calls so far."""

    revision: int | None = None
    """The revision of the experiment, or None for several experiments."""
    events: int = 0
    changed_events: int = 0
    kept_fields: tuple[str, ...] = ()

    experiments: tuple[str, ...] = ()

    def plus(self, experiment: str, batch: Batch, result: RecordResult) -> Self:
        kept = (field.path for field in result.kept_fields)
        experiments = tuple(dict.fromkeys((*self.experiments, experiment)))
        return type(self)(
            result.revision if len(experiments) == 1 else None,
            self.events + len(batch.places),
            self.changed_events + result.changed_events,
            tuple(dict.fromkeys((*self.kept_fields, *kept))),
            experiments,
        )


def run(arguments: argparse.Namespace, client: Client, console: Console) -> Exit:
    """Reads the whole file, then records it in as many calls as necessary."""
    to_send = _read(arguments.file, arguments.experiment, replace=arguments.replace)
    total = sum(len(batch.places) for _, batch in to_send)
    done = _Sum()
    for experiment, batch in to_send:
        record = _Record(client, experiment)
        try:
            for part, result in record_all([batch], record):
                done = done.plus(experiment, part, result)
                if done.events < total or len(to_send) > 1:
                    console.progress(min(done.events, total), total, "events recorded")
        except PodiumError as error:
            text = _refused(error, record.last.places) + _recorded_part(error, done.events)
            raise CommandError(text, exit_of(error)) from error
    _report(done, console)
    return Exit.OK


def _read(path: str, experiment: str | None, *, replace: bool) -> list[tuple[str, Batch]]:
    """Reads the file. Returns each call to make, with its experiment, in the order of the file."""
    if experiment is None and path != "-" and not Path(path).exists():
        command = shlex.join(["podium", "record", path, "-"])
        raise CommandError(f"there is no file {path}; to record standard input: `{command}`")
    events = _events(path, experiment, replace=replace)
    try:
        read = [
            (name, batch)
            for name, group in groupby(events, key=attrgetter("experiment"))
            for batch in batches((each.place, each.event) for each in group)
        ]
    except ValueError as error:
        raise CommandError(f"{error}; nothing was recorded") from error
    if not read:
        raise CommandError(f"{name_of(path)} has nothing to record")
    return read


class _PlacedEvent(NamedTuple):
    experiment: str
    place: str
    event: Event


def _events(path: str, experiment: str | None, *, replace: bool) -> Iterator[_PlacedEvent]:
    for place, value in read_items(path):
        try:
            event = event_from_json(value, replace=replace)
            name = _experiment_of(value) if experiment is None else experiment
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        yield _PlacedEvent(name, place, event)


def _experiment_of(value: dict[str, Any]) -> str:
    name = value.get("experiment") or value.get("arm_result", {}).get("experiment")
    if not isinstance(name, str) or not name:
        raise ValueError(
            '"experiment" is missing; add it, or give the command the argument EXPERIMENT'
        )
    return name


class _Record:
    """Records batches of one experiment. `last` is the newest batch, for error messages."""

    last: Batch

    def __init__(self, client: Client, experiment: str) -> None:
        self._client = client
        self._experiment = experiment

    def __call__(self, batch: Batch) -> RecordResult:
        self.last = batch
        return self._client.record(self._experiment, batch.events())


def _refused(error: PodiumError, places: Sequence[str]) -> str:
    refused = list(dict.fromkeys(places[refusal.index] for refusal in error.refusals))
    if not refused:
        return text_of(error)
    more = refused[1:_SHOWN_PLACES]
    text = f"{refused[0]}: {text_of(error)}"
    if more:
        text += f"; also rejected: {', '.join(more)}"
    hidden = len(refused) - 1 - len(more)
    return f"{text} and {hidden:,} more" if hidden else text


def _recorded_part(error: PodiumError, recorded: int) -> str:
    """Returns the last part of an error message: how much of the input is recorded, if known."""
    is_known = error.reason != "OUTCOME_UNKNOWN" if error.reason else error.code not in _UNKNOWN
    if not recorded:
        return "; nothing was recorded" if is_known else ""
    return (
        f"; the first {_format.count(recorded, 'event')} are recorded"
        f"{', the others are not' if is_known else ''}, and it is safe to record everything again"
    )


def _report(done: _Sum, console: Console) -> None:
    if console.as_json:
        console.json(done._asdict())
        return
    changed = "" if done.changed_events == done.events else _changed(done.changed_events)
    count = _format.count(done.events, "event")
    where = f"revision {done.revision}"
    if done.revision is None:
        where = _format.count(len(done.experiments), "experiment")
    console.line(f"{count} recorded{changed}; {where}")
    if done.kept_fields:
        paths = ", ".join(done.kept_fields)
        console.note(f'unchanged: {paths}; "overwrite": true changes them')


def _changed(count: int) -> str:
    return f", {count:,} of which changed something" if count else ", nothing changed"
