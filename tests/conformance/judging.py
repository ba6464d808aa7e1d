"""Compares the answers of a client with the vectors. Runners compare nothing."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from podium.errors import PodiumError
from podium.v1.arm_result_pb2 import ArmResult
from podium.v1.event_pb2 import ArmRecorded, Event, ExperimentDeclared, MetricsRecorded
from podium.v1.recording_service_pb2 import RecordRequest
from podium.v1.results_service_pb2 import (
    EvalRequest,
    GetArmRequest,
    GetExperimentRequest,
    ListSeriesRequest,
    RankRequest,
    ScoreRequest,
)
from podium.v1.series_pb2 import Series

from tests.conformance import attempts, paging, several, texts, watches
from tests.conformance.languages import PROJECT
from tests.conformance.runner import Runner
from tests.server.ranking import vectors as rankings
from tests.server.writes import vectors as writes
from tests.unit.scoring import vectors as reads

__all__ = [
    "EXCHANGE",
    "VECTORS",
    "Check",
    "Session",
    "checks",
    "error_texts",
    "exchange",
    "http_checks",
    "limits_of",
    "several_servers",
]

Case = dict[str, Any]

_FOLDER = PROJECT / "tests" / "vectors"

VECTORS = tuple(
    file
    for kind in ("rank", "curves", "busy", "scores", "reads", "writes", "record", "watch")
    for file in sorted(_FOLDER.glob(f"{kind}*.json"))
)
"""The files of vectors."""

EXCHANGE = "exchange"
"""The row of the table for the arms that each language records and all languages read."""

_HTTP_FILES = ("reads", "rank", "writes_refusals", "writes_rows")

_NO_JSON = ("-0.0", '"nullValue": 1')
"""Texts in cases that JSON cannot express: JavaScript writes -0 as 0, and JSON has one null."""

_OUTPUT_ONLY: tuple[Any, ...] = (
    "experiment",
    "revision",
    "create_time",
    "update_time",
    "attempt",
    "last_heard",
    "tags",
)


@dataclass
class Session:
    """The runner of a language, and the server that its client calls."""

    language: str
    runner: Runner
    address: str
    protocol: str = ""
    """The protocol of the calls if the address is that of an HTTP port, or else empty."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def new_experiment(self) -> str:
        """Returns the name of an experiment that no other case has."""
        return f"conformance/{self.language}/{next(self.numbers)}"

    def client(self, call: str, request: Message) -> Any:
        """Returns the response of the client's own method."""
        return self.runner.ask("client", call, request, **self._place)

    def live(self, call: str, request: Message) -> Any:
        """Returns the answer that the client computes from an experiment in its memory."""
        return self.runner.ask("live", call, request, **self._place)

    async def call(self, method: str, request: Message) -> Message:
        """Returns the response to the rpc itself, with the client's deadlines and errors."""
        return self.runner.ask("stub", method, request, **self._place)

    @property
    def _place(self) -> dict[str, str]:
        return {"address": self.address} | ({"protocol": self.protocol} if self.protocol else {})


class Check(NamedTuple):
    """A case of a file, tested in one way."""

    file: str
    way: str
    case: str
    hold: Callable[[Session], None]
    """A function that tests the case. If the client is wrong, it raises an error."""


def limits_of(file: Path) -> dict[str, int]:
    """Returns the limits that a file sets for its server. Empty for the default limits."""
    limits: dict[str, int] = _content(file).get("limits", {})
    return limits


def checks(file: Path) -> Iterator[Check]:
    """Yields the checks of a file of vectors."""
    kinds: dict[str, dict[str, Callable[[Case, Session], None]]] = {
        "rank": {"wire": _rank, "live": _rank_live},
        "curves": {"live": _curves},
        "busy": {"wire": paging.rank},
        "scores": {"wire": paging.scores},
        "reads": {"pure": _read_locally, "wire": _read},
        "writes": {"wire": _write},
        "record": {"wire": attempts.record},
        "watch": {"wire": watches.watch},
    }
    ways = kinds[file.stem.partition("_")[0]]
    for case in _content(file)["cases"]:
        for way, hold in ways.items():
            yield Check(file.name, way, case["name"], partial(hold, case))


def http_checks(file: Path, protocol: str) -> Iterator[Check]:
    """Yields the checks of a file for a protocol over HTTP.

    In the table of results, all files whose names begin with the same word share a row.
    """
    if not file.stem.startswith(_HTTP_FILES):
        return
    kind = file.stem.partition("_")[0]
    cases = {case["name"]: json.dumps(case) for case in _content(file)["cases"]}
    for check in checks(file):
        is_lost = protocol == "connect-json" and any(text in cases[check.case] for text in _NO_JSON)
        if check.way == "wire" and not is_lost:
            yield check._replace(file=kind, way=protocol)


def exchange(way: str, languages: Iterable[str]) -> Iterator[Check]:
    """Yields the checks of arms that some languages record, and that every language then reads.

    Args:
        way: `write` to record arms, or `read` to read them.
        languages: The languages that record the arms.
    """
    hold = {"write": _record_for_others, "read": _read_of_others}[way]
    for experiment in map("exchange/{}".format, languages):
        for given in _content(_FOLDER / "exchange.json")["arms"]:
            arm = ParseDict(given, ArmResult())
            yield Check(EXCHANGE, way, f"{experiment}/{arm.name}", partial(hold, experiment, arm))


def several_servers() -> Iterator[Check]:
    """Yields the checks of a client that has the addresses of two servers."""
    for leaves in several.LEAVES:
        yield Check(several.SEVERAL, "wire", leaves, partial(several.go_on, leaves))


def error_texts() -> Iterator[Check]:
    """Yields the checks of calls that fail without an answer."""
    for case in (texts.silent, texts.absent, texts.lost):
        yield Check("texts of errors", "wire", case.__name__, case)


def _content(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


# ---- Reads -----------------------------------------------------------------------------------


def _read_locally(case: Case, session: Session) -> None:
    arm = reads.arm_of(case)
    _ask(case, partial(session.runner.ask_arm, arm), EvalRequest(), ScoreRequest())
    found: Any = session.runner.ask_arm(arm, "GetArm", GetArmRequest())
    reads.check_reads(case, found.arm_result)


def _read(case: Case, session: Session) -> None:
    given, experiment = reads.arm_of(case), session.new_experiment()
    place: dict[str, Any] = {"experiment": experiment, "arm": given.name}
    try:
        _record(session, experiment, given)
    except PodiumError as error:
        _expect(error.reason, case.get("refused"))
        return
    _expect(None, case.get("refused"))
    _ask(case, session.client, EvalRequest(**place), ScoreRequest(**place))
    found = session.client("GetArm", GetArmRequest(**place)).arm_result
    reads.check_reads(case, found)
    _expect([reads.plain(_bare_row(row)) for row in found.evals], _distinct_rows(given))


def _ask(
    case: Case, call: Callable[[str, Message], Any], asked: EvalRequest, scored: ScoreRequest
) -> None:
    """Makes the client answer every question of a case, and checks the answers."""
    for question in case.get("evals", []):
        asked.name = question["name"]
        asked.ClearField("step")
        if "step" in question:
            asked.step = int(question["step"])
        answer = call("Eval", asked)
        row = answer.eval_result if answer.HasField("eval_result") else None
        reads.check_eval(case, question, row and _bare_row(row))
    for question in case.get("scores", []):
        scored.metric = question["metric"]
        reads.check_score(question, _answer_or_code(call, scored))


def _answer_or_code(call: Callable[[str, Message], Any], request: ScoreRequest) -> Any:
    try:
        return call("Score", request)
    except PodiumError as error:
        return error.code


def _distinct_rows(arm: ArmResult) -> list[Any]:
    """Returns the rows of an arm: only the first of several rows with the same name and step."""
    rows: dict[tuple[str, int | None], Any] = {}
    for row in arm.evals:
        step = row.step if row.HasField("step") else None
        rows.setdefault((row.name, step), reads.plain(row))
    return list(rows.values())


# ---- Rankings and writes ---------------------------------------------------------------------


def _record_arms(case: Case, session: Session) -> str:
    """Records the arms and points of a case. Returns the name of their experiment."""
    experiment = session.new_experiment()
    declared = ParseDict(case.get("experiment", {}), ExperimentDeclared())
    arms = [Event(arm_recorded=ArmRecorded(arm_result=arm)) for arm in rankings.arms_of(case)]
    points = [
        Event(metrics_recorded=ParseDict(point, MetricsRecorded()))
        for point in case.get("points", [])
    ]
    events = [Event(experiment_declared=declared), *arms, *points]
    session.client("Record", RecordRequest(experiment=experiment, events=events))
    return experiment


def _rank_live(case: Case, session: Session) -> None:
    """Compares rankings by arm that the client computes in memory.

    Rankings by group are left out, since only the server and the Python client compute them.
    """
    experiment = _record_arms(case, session)
    for asked in case["ranks"]:
        request = ParseDict({"experiment": experiment, **asked["request"]}, RankRequest())
        if not request.by_group and "response" in asked:
            rankings.hold(asked["response"], session.live("Rank", request))


def _curves(case: Case, session: Session) -> None:
    experiment = _record_arms(case, session)
    for asked in case["curves"]:
        request = ListSeriesRequest(experiment=experiment, arm=asked["arm"], keys=[asked["metric"]])
        fields = {"key": asked["metric"], "steps": asked["steps"], "values": asked["values"]}
        expected = [reads.plain(ParseDict(fields, Series()))] if asked["steps"] else []
        found = session.live("ListSeries", request).series
        _expect([reads.plain(one) for one in found], expected)


def _rank(case: Case, session: Session) -> None:
    experiment = _record_arms(case, session)
    for asked in case["ranks"]:
        request = ParseDict({"experiment": experiment, **asked["request"]}, RankRequest())
        try:
            found = session.client("Rank", request)
        except PodiumError as error:
            _expect({"code": error.code, "reason": error.reason}, asked.get("error"))
        else:
            rankings.hold(asked["response"], found)
    if "conclusion" in case:
        named = GetExperimentRequest(experiment=experiment)
        found = session.client("GetExperiment", named).experiment
        expected = {"status": case["conclusion"]["status"]}
        writes.check(expected, found, "experiment")


def _write(case: Case, session: Session) -> None:
    asyncio.run(writes.run(case, session, session.new_experiment()))


# ---- Arms that cross from language to language -------------------------------------------------


def _record_for_others(experiment: str, arm: ArmResult, session: Session) -> None:
    _record(session, experiment, arm)


def _read_of_others(experiment: str, arm: ArmResult, session: Session) -> None:
    request = GetArmRequest(experiment=experiment, arm=arm.name)
    found = session.client("GetArm", request).arm_result
    for name in _OUTPUT_ONLY:
        found.ClearField(name)
    for row in found.evals:
        _bare_row(row)
    _expect(reads.plain(found), reads.plain(arm))


def _record(session: Session, experiment: str, arm: ArmResult) -> None:
    """Declares an experiment and records an arm with the client of the language."""
    declared = Event(experiment_declared=ExperimentDeclared())
    recorded = Event(arm_recorded=ArmRecorded(arm_result=arm))
    for event in (declared, recorded):
        session.client("Record", RecordRequest(experiment=experiment, events=[event]))


def _bare_row(row: Any) -> Any:
    """Returns a row without the fields that the server adds."""
    for name in reads.OUTPUT_ONLY:
        row.ClearField(name)
    return row


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")
