"""Compares the answers that writers got with the content of the server.

Every call of a writer changes something, so it has exactly one revision, and its rows have this
revision. A call that was applied twice uses two revisions. No row has the first of them.
"""

from dataclasses import dataclass, field

import grpc
from podium._wire.status import from_rpc_error
from podium.v1.eval_result_pb2 import EvalResult
from podium.v1.event_pb2 import Event, Skipped
from podium.v1.recording_service_pb2 import RecordRequest, StreamPosition
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import (
    GetExperimentRequest,
    ListEvalsRequest,
    ScoreRequest,
)
from podium.v1.results_service_pb2_grpc import ResultsServiceStub

from tests.crash.durability.writers import EVALUATED, LATEST, Arm, channel

__all__ = ["Findings", "check"]

_BEFORE_WRITERS = 2
"""The revision of an experiment after `writers.begin`."""
_SHOWN = 10
_SECONDS = 120


@dataclass
class Findings:
    """The findings: missing acknowledged rows, calls that were applied twice, and others."""

    lost: int = 0
    doubled: int = 0
    other: int = 0
    samples: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there are any findings."""
        return bool(self.lost or self.doubled or self.other)

    def note(self, text: str, *, lost: int = 0, doubled: int = 0) -> None:
        """Counts a finding."""
        self.lost += lost
        self.doubled += doubled
        self.other += not (lost or doubled)
        if len(self.samples) < _SHOWN:
            self.samples.append(text)


def check(address: str, arms: list[Arm]) -> Findings:
    """Compares the content of a server with all acknowledged calls of these arms."""
    findings = Findings()
    with channel(address) as connection:
        server = _Server(connection)
        for experiment in sorted({arm.experiment for arm in arms}):
            own = [arm for arm in arms if arm.experiment == experiment]
            revisions = [revision for arm in own for revision in _check_arm(arm, server, findings)]
            _check_revisions(experiment, revisions, server.revision(experiment), findings)
    return findings


def _check_arm(arm: Arm, server: "_Server", findings: Findings) -> list[int]:
    """Checks the rows, the stream and the calls of an arm. Returns the revisions of its calls."""
    rows = server.rows(arm)
    _check_rows(arm, rows, findings)
    if arm.name != EVALUATED:
        latest = server.latest(arm)
        if latest != arm.sequence:
            findings.note(f"{arm.name}: the last event is {arm.sequence}, not {latest}", lost=1)
        expected = server.expected_sequence(arm)
        if expected != arm.sequence + 1:
            findings.note(f"{arm.name}: expects {expected} after {arm.sequence}")
    return _check_calls(arm, {row.step: row.revision for row in rows}, findings)


def _check_rows(arm: Arm, rows: list[EvalResult], findings: Findings) -> None:
    """Checks that the arm has every acknowledged row with its number, in order, and no others."""
    expected = [step for call in arm.calls for step in call.steps]
    missing = set(expected) - {row.step for row in rows}
    if missing:
        findings.note(f"{arm.name}: rows {sorted(missing)} are missing", lost=len(missing))
    elif [row.step for row in rows] != expected:
        findings.note(f"{arm.name}: rows are not in order, or too many")
    wrong = [row.step for row in rows if row.metrics != {"value": row.step}]
    if wrong:
        findings.note(f"{arm.name}: rows {wrong} hold other numbers")


def _check_calls(arm: Arm, held: dict[int, int], findings: Findings) -> list[int]:
    """Checks that all rows of a call have the same revision, and that revisions increase.

    The answer must have the same revision. If a call was sent again, it may have a later one.
    """
    revisions = [_BEFORE_WRITERS]
    for call in arm.calls:
        found = {held[step] for step in call.steps if step in held}
        if not found:
            continue
        revision = max(found)
        told = call.revision >= revision if call.again else call.revision == revision
        if len(found) > 1 or not told or revision <= revisions[-1]:
            findings.note(f"{arm.name}: rows of {call} have revisions {sorted(found)}")
        revisions.append(revision)
    return revisions[1:]


def _check_revisions(experiment: str, revisions: list[int], last: int, findings: Findings) -> None:
    """Checks that each revision of an experiment belongs to exactly one call."""
    unused = set(range(_BEFORE_WRITERS + 1, last + 1)) - set(revisions)
    if unused:
        text = f"{experiment}: no call has the revisions {sorted(unused)[:_SHOWN]}"
        findings.note(text, doubled=len(unused))
    if len(set(revisions)) < len(revisions) or max(revisions, default=0) > last:
        findings.note(f"{experiment}: calls share revisions, or are beyond the last one, {last}")


class _Server:
    """Reads results from a server."""

    def __init__(self, connection: grpc.Channel) -> None:
        self._results = ResultsServiceStub(connection)
        self._recording = RecordingServiceStub(connection)

    def revision(self, experiment: str) -> int:
        """Returns the last revision of an experiment."""
        request = GetExperimentRequest(experiment=experiment)
        return self._results.GetExperiment(request, timeout=_SECONDS).experiment.revision

    def rows(self, arm: Arm) -> list[EvalResult]:
        """Returns the rows of an arm's eval, in order of acceptance."""
        request = ListEvalsRequest(
            experiment=arm.experiment, arm=arm.name, name=arm.eval_name, page_size=1_000
        )
        rows: list[EvalResult] = []
        while True:
            try:
                page = self._results.ListEvals(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return []
                raise
            rows.extend(page.evals)
            if not page.next_page_token:
                return rows
            request.page_token = page.next_page_token

    def latest(self, arm: Arm) -> float | None:
        """Returns the value of the row `LATEST`, or None. A trainer writes it last in each call."""
        request = ScoreRequest(experiment=arm.experiment, arm=arm.name, metric=f"{LATEST}.value")
        try:
            return self._results.Score(request, timeout=_SECONDS).value
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def expected_sequence(self, arm: Arm) -> int:
        """Returns the next sequence number of an arm's stream, from a SEQUENCE_GAP error."""
        position = StreamPosition(writer_id=arm.name, first_sequence=2**40)
        request = RecordRequest(
            experiment=arm.experiment, events=[Event(skipped=Skipped())], position=position
        )
        try:
            self._recording.Record(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            return int(from_rpc_error(error).metadata["expected_sequence"])
        return 0
