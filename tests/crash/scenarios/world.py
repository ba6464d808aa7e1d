"""A server, a folder of outboxes, training processes, and `podium sync`."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import podium
from podium._outbox import outboxes
from podium.cli._outboxes import view_of
from podium_server.testing import RunningServer

from tests import zygote
from tests.client.cli import shell
from tests.client.sender.outboxes import sender_of, until

__all__ = ["TRAIN", "Training", "World"]

_SECONDS = 240
_CLOSE_SECONDS = 600
"""Longer than the time limit of a test. A training process that waits this long fails the test."""
_REPOSITORY = Path(__file__).parents[3]

Training = subprocess.Popen[str]

TRAIN = (sys.executable, "-m", "tests.crash.scenarios.train")
"""The command of a training process."""


class World:
    """The server, the folder of outboxes and the processes of a scenario.

    Attributes:
        server: The server.
        client: A client of the server.
        root: The folder of outboxes of the machine that trains.
    """

    def __init__(self, server: RunningServer, client: podium.Client, root: Path) -> None:
        self.server = server
        self.client = client
        self.root = root
        self._trainings: list[Training] = []

    @property
    def arm(self) -> podium.ArmHandle:
        """The arm that the training processes record."""
        return self.client.arm("sweep", "a")

    def begin(
        self, *arguments: object, root: Path | None = None, offline: bool = False
    ) -> Training:
        """Starts a training process. With `offline`, it starts no sender."""
        return self.run(*TRAIN, *map(str, arguments), root=root, offline=offline)

    def run(self, *command: str, root: Path | None = None, offline: bool = False) -> Training:
        """Runs a command in the environment of a training process."""
        environment = os.environ | {
            "PODIUM_ADDRESS": self.server.address,
            "PODIUM_OUTBOX": str(root or self.root),
            "PODIUM_OFFLINE": str(int(offline)),
            "PODIUM_CLOSE_TIMEOUT": str(_CLOSE_SECONDS),
        }
        pipe = subprocess.PIPE
        training = zygote.start(
            command,
            cwd=_REPOSITORY,
            env=environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        self._trainings.append(training)
        return training

    def restart(self, *arguments: str) -> None:
        """Starts the server again with other arguments, on the same address and store."""
        self.server.stop()
        self.server._arguments = arguments
        self.server.start()

    def train(self, *arguments: object, root: Path | None = None, offline: bool = False) -> str:
        """Runs a training process until it ends. Returns its log."""
        training = self.begin(*arguments, root=root, offline=offline)
        said = self.finish(training)
        assert training.returncode in {0, -signal.SIGKILL}, said
        return said

    def finish(self, training: Training) -> str:
        """Waits until a training process has ended. Returns its log."""
        return training.communicate(timeout=_SECONDS)[1]

    def reach(self, training: Training, step: int) -> None:
        """Waits until a training process has recorded a step."""
        assert training.stdout is not None
        for line in training.stdout:
            if line == f"{step}\n":
                return
        raise AssertionError(f"the training ended before step {step}")

    @contextlib.contextmanager
    def held(self, training: Training, step: int) -> Iterator[None]:
        """Runs the block while a training process waits after a step that its `--hold` names."""
        assert training.stdin is not None
        self.reach(training, step)
        yield
        training.stdin.write("\n")
        training.stdin.flush()

    def until_rejected(self, reason: str) -> None:
        """Waits until the outbox shows an event that the server rejected for a reason."""
        until(lambda: f" {reason}: " in self.outbox().out)

    def sync(self, root: Path | None = None) -> shell.Outcome:
        """Runs `podium sync`, which delivers the waiting events."""
        return shell.podium("sync", str(root or self.root))

    def outbox(self, *arguments: str) -> shell.Outcome:
        """Runs `podium outbox`. Without arguments, it lists the waiting and rejected events."""
        return shell.podium("outbox", *arguments, str(self.root))

    def rows(self, name: str = "val") -> dict[int | None, float]:
        """Returns the number `by` of the process that recorded the row at each step."""
        return {row.step: row.metrics["by"] for row in self.arm.evals(name=name)}

    def until_delivered(self) -> None:
        """Waits until the senders have delivered all events."""
        until(lambda: not any(view_of(outbox).waiting for outbox in outboxes(self.root)))

    def kill_sender(self) -> None:
        """Waits until a sender runs, and kills it."""
        until(self._senders)
        for pid in self._senders():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends all running training processes and their senders."""
        for training in self._trainings:
            training.kill()
            training.communicate()
        for pid in self._senders():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _senders(self) -> list[int]:
        return [pid for outbox in outboxes(self.root) if (pid := sender_of(outbox))]
