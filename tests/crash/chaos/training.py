"""A process that records until it is killed or gets SIGTERM. It notes each row in a ledger.

    python -m tests.crash.chaos.training LIFE

LIFE is the result of `Life.to_json`. The ledger is a file with a line for each step whose
`log_eval` and `log` have returned, so it survives a kill.
"""

import json
import logging
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import podium
from podium._recorder import process_outbox

from tests.crash.chaos.tearing import tear

__all__ = ["EVALUATOR", "RESUMED", "TRAINER", "Life", "Logged", "eval_name"]

TRAINER, RESUMED, EVALUATOR = "trainer", "resumed", "evaluator"
"""The kinds of processes.

They train a new arm, continue an arm with a new attempt, or evaluate an arm that another process
starts later.
"""

_SEGMENT_BYTES = 1 << 16
_MOST_AT_ONCE = 40
_LONGEST_REST = 0.4
"""The longest rest between two bursts. With shorter rests, the processes log faster than the
senders deliver on a busy machine. The disk is then full for most of the run."""
_LARGE_TEXT = 8_000
_LARGE_SHARE = 0.03
_END = "end"
_IN_MEMORY = "m"


@dataclass(frozen=True)
class Life:
    """One process that records, from its start to its end."""

    kind: str
    number: int
    experiment: str
    arm: str
    first_step: int
    address: str
    outbox: str
    ledger: str
    seed: int
    tears: bool = False

    def to_json(self) -> str:
        """Returns the argument of the command for this process."""
        return json.dumps(asdict(self))


@dataclass
class Logged:
    """The content of a ledger."""

    steps: list[int]
    """The steps that were logged."""
    sure: int
    """The number of these steps, from the first on, that are known to be in the outbox.

    A kill cannot lose them.
    """
    ended: bool
    """Whether the process ended without a kill, with all of its events in the outbox."""

    @classmethod
    def read(cls, ledger: Path) -> "Logged":
        """Reads a ledger. Ignores the last line if a kill has torn it."""
        content = ledger.read_text() if ledger.exists() else ""
        lines = content[: content.rfind("\n") + 1].splitlines()
        ended = lines[-1:] == [_END]
        steps = [line for line in lines if line != _END]
        in_memory = [line.endswith(_IN_MEMORY) for line in steps]
        unsure = in_memory[::-1].index(False) if False in in_memory else len(steps)
        sure = len(steps) if ended else len(steps) - unsure
        return cls([int(line.rstrip(_IN_MEMORY)) for line in steps], sure, ended)


def eval_name(life: Life) -> str:
    """Returns the name of the eval whose rows a life writes."""
    return f"bench{life.number}" if life.kind == EVALUATOR else "val"


class _Losses(logging.Handler):
    """Sets `told` when the recorder logs a loss: events that the disk never accepted."""

    told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Sets `told` if the log record is about a loss."""
        self.told = self.told or record.getMessage().endswith(" lost")


class _Training:
    """Records bursts of rows until it is stopped."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._random = Random(life.seed)  # noqa: S311 - no secret
        self._step = life.first_step
        self._ledger = os.open(life.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._is_stopped = False
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_: object) -> None:
        self._is_stopped = True

    def run(self) -> None:
        """Records until SIGTERM. Then ends the arm and closes the recorder."""
        life, losses = self._life, _Losses()
        logging.getLogger("podium").addHandler(losses)
        with podium.record(
            life.experiment, address=life.address, outbox=life.outbox, close_timeout=0
        ) as experiment:
            if life.kind == EVALUATOR:
                self._record(experiment.arm(life.arm))
            else:
                config = podium.RunConfig(name=life.arm)
                resume = life.first_step - 1 if life.kind == RESUMED and life.number else None
                with experiment.start_arm(config, order=life.number, resume_step=resume) as arm:
                    self._record(arm)
        if not losses.told:
            os.write(self._ledger, f"{_END}\n".encode())

    def _record(self, arm: Any) -> None:
        while not self._is_stopped:
            for _ in range(self._random.randint(1, _MOST_AT_ONCE)):
                self._log(arm, self._step)
                self._step += 1
            time.sleep(self._random.uniform(0, _LONGEST_REST))

    def _log(self, arm: Any, step: int) -> None:
        """Logs a row and a metric, and writes the step to the ledger.

        If a batch is applied twice, the changed metric changes the arm once more. That makes it
        visible.
        """
        large = self._random.random() < _LARGE_SHARE
        metrics = {"value": step, "life": self._life.number}
        breakdowns = {"text": "x" * self._random.randint(0, _LARGE_TEXT)} if large else {}
        arm.log_eval(eval_name(self._life), metrics, step=step, breakdowns=breakdowns)
        arm.log({f"at{self._life.number}": step})
        in_memory = _IN_MEMORY if arm._stream.in_memory else ""
        os.write(self._ledger, f"{step}{in_memory}\n".encode())


if __name__ == "__main__":
    process_outbox._ARM_SEGMENT = _SEGMENT_BYTES
    logging.basicConfig(format="%(message)s")
    given = Life(**json.loads(sys.argv[1]))
    if given.tears:
        tear(Path(given.ledger).parent)
    _Training(given).run()
