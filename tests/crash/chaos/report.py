"""The events and findings of a chaos run, and whether enough happened to prove something."""

from dataclasses import dataclass, field

from tests.crash.chaos.checker import Checker
from tests.crash.chaos.sending import Answer
from tests.crash.durability.checker import Findings

__all__ = ["Report"]

_ENOUGH = 60
"""In a run with at least this number of kills, each of the expected events must happen."""
_EXPECTED = (
    "trainer_kills",
    "sender_kills",
    "server_kills",
    "stalls",
    "unknown",
    "skipped",
    "waits",
    "rejected",
    "torn",
)


@dataclass
class Report:
    """The events of a run, and its findings.

    Attributes:
        logged: The number of logged rows.
        stored: The number of stored rows.
        unknown: The number of calls without an answer.
        skipped: The number of events that were sent again although the server had them.
        waits: The number of calls that were rejected because their arm did not exist yet.
    """

    seed: int
    seconds: float = 0.0
    trainer_kills: int = 0
    sender_kills: int = 0
    server_kills: int = 0
    stalls: int = 0
    full_disks: int = 0
    logged: int = 0
    stored: int = 0
    rejected: int = 0
    torn: int = 0
    calls: int = 0
    unknown: int = 0
    skipped: int = 0
    waits: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def kills(self) -> int:
        """The number of killed processes."""
        return self.trainer_kills + self.sender_kills + self.server_kills

    def take(self, checker: Checker, logged: int, answers: list[Answer]) -> None:
        """Adds the final results."""
        self.logged = logged
        self.stored = checker.rows
        self.rejected = checker.rejected
        self.torn = checker.torn
        self.calls = len(answers)
        self.unknown = sum(answer.is_unknown for answer in answers)
        self.skipped = sum(answer.skipped for answer in answers)
        self.waits = sum(answer.error == "ARM_NOT_FOUND" for answer in answers)

    def too_little(self, kills: int, rows: int) -> list[str]:
        """Returns why too little happened to prove something, or an empty list."""
        seen = {
            f"{self.kills} kills of {kills}": self.kills >= kills,
            f"{self.logged} rows of {rows}": self.logged >= rows,
        }
        if kills >= _ENOUGH:
            seen |= {f"no {name}": getattr(self, name) > 0 for name in _EXPECTED}
        return [text for text, enough in seen.items() if not enough]

    def __str__(self) -> str:
        found = self.findings
        rate = self.logged / max(self.seconds, 0.001)
        lines = [
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s",
            f"killed: {self.trainer_kills} trainers, {self.sender_kills} senders",
            f"the server was killed {self.server_kills} times, and hung {self.stalls} times",
            f"the disk was full {self.full_disks} times",
            f"{self.logged} rows logged ({rate:.0f} a second), {self.stored} stored",
            f"{self.rejected} events rejected, {self.torn} torn records",
            f"{self.calls} calls, {self.unknown} of them without an answer",
            f"{self.skipped} events sent again that the server had",
            f"{self.waits} times an arm was not there yet",
            f"{found.lost} lost, {found.doubled} doubled, {found.other} other findings",
        ]
        lines += found.samples
        return "\n  ".join(lines)
