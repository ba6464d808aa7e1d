"""The state of the second, naive implementation of the rules of writes, in `naive`."""

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from podium.v1 import experiment_pb2, run_config_pb2
from podium.v1.eval_result_pb2 import EvalResult

from tests.server.writes.naive_annotations import Notes

__all__ = ["Arm", "Experiment", "NaiveError", "Row", "Stream", "encoded", "moment"]


class NaiveError(Exception):
    """The error of a rejected call: its reason, and the reasons of rejected events by index."""

    def __init__(self, reason: str, events: dict[int, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = events or {}


@dataclass
class Row:
    """An eval row: its content, its event_time and its revision."""

    said: EvalResult
    event_time: Any
    revision: int

    @property
    def identity(self) -> tuple[str, int | None]:
        """The name and the step of the row."""
        return self.said.name, self.said.step if self.said.HasField("step") else None


@dataclass
class Arm:
    """An arm.

    `facts` has its optional fields. `given` has the eval metrics that were given with the arm
    itself. `series` has the points of its training series, by key and step.
    """

    name: str
    config: run_config_pb2.RunConfig = field(default_factory=run_config_pb2.RunConfig)
    status: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    series: dict[tuple[str, int], float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    given: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    attempt: tuple[str, int] | None = None
    recorded_last: bytes | None = None
    noted: Notes = field(default_factory=Notes)
    revision: int = 0


@dataclass
class Stream:
    """A stream: its last sequence number, its subject, and why it is closed."""

    last: int = 0
    subject: str | None = None
    closed: str = ""


@dataclass
class Experiment:
    """An experiment that is not declared yet, declared (`alive`), or deleted."""

    alive: bool = False
    revision: int = 0
    said: experiment_pb2.Experiment = field(default_factory=experiment_pb2.Experiment)
    arms: list[Arm] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)

    def arm(self, name: str) -> Arm | None:
        """Returns the arm of this name, or None."""
        return next((arm for arm in self.arms if arm.name == name), None)


def encoded(message: Message) -> bytes:
    """Returns the encoding of a message, which is equal for equal messages."""
    return message.SerializeToString(deterministic=True)


def moment(stamp: Any) -> Any:
    """Returns a time as a tuple, which is equal for equal times. Returns None for None."""
    return None if stamp is None else (stamp.seconds, stamp.nanos)
