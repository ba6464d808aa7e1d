"""Compares the logged rows with the store, the outboxes and the answers that senders got.

Every row that reached the outbox must be in the store once, in order and with its metrics.
Otherwise, it must be in the outbox, as rejected for an expected reason. The store may have one more
row for each killed process: the row that the process was logging when it was killed. The store must
have everything that the server has acknowledged.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import podium
from podium._outbox import RejectedEvent, StreamReader, streams
from podium.v1.event_pb2 import Event

from tests.crash.chaos.audit import Audit
from tests.crash.chaos.sending import Answer
from tests.crash.chaos.training import RESUMED, Life, Logged, eval_name
from tests.crash.durability.checker import Findings

__all__ = ["Checker"]

_DECLARED = 1
"""The revision of an experiment after its declaration, before any row."""
_STALE = "STALE_ATTEMPT"


@dataclass
class _Rows:
    """The stored rows of one eval of an arm: their steps in order, and the life that wrote each.

    `wrong` has the steps of rows with a wrong value.
    """

    steps: list[int]
    lives: dict[int, int]
    wrong: list[int]


@dataclass
class Checker:
    """Searches for faults after everything was delivered.

    Attributes:
        findings: The faults.
        rows: The number of stored rows.
        rejected: The number of rejected events in the outboxes.
        torn: The number of segments that are kept because of a torn record.
    """

    lives: list[Life]
    answers: list[Answer]
    findings: Findings = field(default_factory=Findings)
    rows: int = 0
    rejected: int = 0
    torn: int = 0
    _rejected_steps: set[tuple[int, int]] = field(default_factory=set)

    def check_outbox(self, outbox: Path) -> None:
        """Checks that no event waits, and that each rejected event has an expected reason."""
        for folder in streams(outbox):
            reader = StreamReader(folder)
            torn = len(reader.torn())
            self.torn += torn
            waiting = len(reader.read(reader.progress().delivered))
            if waiting:
                self.findings.note(f"{folder.name}: {waiting} events wait", lost=waiting)
            for rejected in reader.rejected_events():
                self._note_rejected(reader, rejected)

    def _note_rejected(self, reader: StreamReader, rejected: RejectedEvent) -> None:
        self.rejected += 1
        if rejected.reason != _STALE or reader.info.experiment != f"chaos/{RESUMED}":
            text = f"{reader.info.arm}: rejected for {rejected.reason}: {rejected.message}"
            self.findings.note(text, lost=1)
            return
        event = Event.FromString(rejected.event)
        if event.HasField("eval_recorded"):
            row = event.eval_recorded.eval_result
            self._rejected_steps.add((int(row.metrics["life"]), row.step))

    def check_rows(self, client: podium.Client) -> None:
        """Checks that each arm has every logged row once and in order, and no other rows."""
        arms: dict[tuple[str, str, str], list[Life]] = defaultdict(list)
        for life in self.lives:
            arms[life.experiment, life.arm, eval_name(life)].append(life)
        for (experiment, arm, name), lives in arms.items():
            self._check_arm(_rows(client.arm(experiment, arm), name), lives, f"{arm} {name}")

    def _check_arm(self, rows: _Rows, lives: list[Life], where: str) -> None:
        self.rows += len(rows.steps)
        if rows.steps != sorted(set(rows.steps)) or rows.wrong:
            self.findings.note(f"{where}: not in order, or wrong: {rows.wrong[:5]}", doubled=1)
        unexplained = dict(rows.lives)
        for life in lives:
            logged = Logged.read(Path(life.ledger))
            self._check_life(life, logged, rows, where)
            last = logged.steps[-1] if logged.steps else life.first_step - 1
            in_hands = set() if logged.ended else {last + 1}
            for step in set(logged.steps) | in_hands:
                if unexplained.get(step) == life.number:
                    del unexplained[step]
        if unexplained:
            self.findings.note(f"{where}: nobody logged {sorted(unexplained)[:5]}")

    def _check_life(self, life: Life, logged: Logged, rows: _Rows, where: str) -> None:
        sure = logged.steps[: logged.sure]
        rejected = {step for step in sure if (life.number, step) in self._rejected_steps}
        if life.kind != RESUMED:
            rejected = set()
        stored = {step for step in sure if rows.lives.get(step) == life.number}
        lost = [step for step in sure if step not in stored | rejected]
        if lost:
            text = f"{where}: life {life.number} logged {len(lost)} rows that are lost: {lost[:5]}"
            self.findings.note(text, lost=len(lost))
        if rejected & stored:
            text = f"{where}: stored and rejected: {sorted(rejected & stored)[:5]}"
            self.findings.note(text, doubled=len(rejected & stored))

    def check_store(self, audit: Audit) -> None:
        """Checks that the file is intact, and that no call was applied twice or lost."""
        if audit.integrity() != "ok":
            self.findings.note(f"integrity_check: {audit.integrity()}")
        for experiment in sorted({life.experiment for life in self.lives}):
            revision, moves = audit.moves(experiment)
            twice = revision - _DECLARED - moves
            # A call that has only Skipped events moves a stream, and raises no revision.
            if twice > 0 or (twice < 0 and experiment != f"chaos/{RESUMED}"):
                text = f"{experiment}: revision {revision} after {moves} moves of its streams"
                self.findings.note(text, doubled=abs(twice))
        self._check_answers(audit.positions())

    def _check_answers(self, positions: dict[str, int]) -> None:
        """Checks that the server never has fewer events of a stream than it has acknowledged."""
        acknowledged: dict[str, int] = defaultdict(int)
        for answer in self.answers:
            has = acknowledged[answer.writer_id]
            if answer.error == "SEQUENCE_GAP" and answer.last < has:
                text = f"{answer.writer_id}: {has} were acknowledged, {answer.last} are there"
                self.findings.note(text, lost=has - answer.last)
            if not answer.error:
                acknowledged[answer.writer_id] = max(has, answer.last)
        for writer_id, last in acknowledged.items():
            if positions.get(writer_id, 0) < last:
                text = f"{writer_id}: {last} were acknowledged, not {positions.get(writer_id, 0)}"
                self.findings.note(text, lost=last - positions.get(writer_id, 0))


def _rows(arm: podium.ArmHandle, name: str) -> _Rows:
    rows = _Rows([], {}, [])
    try:
        found = list(arm.evals(name=name, page_size=1_000))
    except podium.NotFoundError:
        return rows
    for row in found:
        assert row.step is not None
        rows.steps.append(row.step)
        rows.lives[row.step] = int(row.metrics.get("life", -1))
        if row.metrics.get("value") != row.step:
            rows.wrong.append(row.step)
    return rows
