"""A server, a folder of outboxes, trainings in processes of their own, and `podium sync`."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import podium
from podium._outbox import SenderLock, SenderState, outboxes
from podium_server.testing import RunningServer

from tests.client.cli import shell
from tests.client.sender.outboxes import until

__all__ = ["TRAIN", "Training", "World"]

_SECONDS = 60
_REPOSITORY = Path(__file__).parents[3]

Training = subprocess.Popen[str]

TRAIN = (sys.executable, "-m", "tests.crash.scenarios.train")
"""The command of a training."""


class World:
    """Where a scenario happens.

    Attributes:
        server: The server.
        client: A client of it.
        root: The folder of outboxes of the machine that trains.
    """

    def __init__(self, server: RunningServer, client: podium.Client, root: Path) -> None:
        self.server = server
        self.client = client
        self.root = root
        self._trainings: list[Training] = []

    @property
    def arm(self) -> podium.ArmHandle:
        """The arm that is trained."""
        return self.client.arm("sweep", "a")

    def begin(
        self, *arguments: object, root: Path | None = None, offline: bool = False
    ) -> Training:
        """Begins a training, without a connection or with one."""
        return self.run(*TRAIN, *map(str, arguments), root=root, offline=offline)

    def run(self, *command: str, root: Path | None = None, offline: bool = False) -> Training:
        """Runs a command in the environment of a training."""
        environment = os.environ | {
            "PODIUM_ADDRESS": self.server.address,
            "PODIUM_OUTBOX": str(root or self.root),
            "PODIUM_OFFLINE": str(int(offline)),
        }
        pipe = subprocess.PIPE
        training = subprocess.Popen(
            command, cwd=_REPOSITORY, env=environment, stdout=pipe, stderr=pipe, text=True
        )
        self._trainings.append(training)
        return training

    def restart(self, *arguments: str) -> None:
        """Starts the server anew, with other arguments, on its address and store."""
        self.server.stop()
        self.server._arguments = arguments
        self.server.start()

    def train(self, *arguments: object, root: Path | None = None, offline: bool = False) -> str:
        """Trains to the end; what the training says to its user."""
        training = self.begin(*arguments, root=root, offline=offline)
        _, said = training.communicate(timeout=_SECONDS)
        assert training.returncode in {0, -signal.SIGKILL}, said
        return said

    def reach(self, training: Training, step: int) -> None:
        """Waits until a training has recorded a step."""
        assert training.stdout is not None
        for line in training.stdout:
            if line == f"{step}\n":
                return
        raise AssertionError(f"the training ended before step {step}")

    def sync(self, root: Path | None = None) -> shell.Outcome:
        """Delivers what waits."""
        return shell.podium("sync", str(root or self.root))

    def outbox(self, *arguments: str) -> shell.Outcome:
        """Shows what waits, or retries."""
        return shell.podium("outbox", *arguments, str(self.root))

    def rows(self, name: str = "val") -> dict[int | None, float]:
        """Who recorded the row at each step."""
        return {row.step: row.metrics["by"] for row in self.arm.evals(name=name)}

    def until_delivered(self) -> None:
        """Waits until the senders have delivered all there is."""
        until(lambda: self.outbox("--json").out.count('"waiting": 0') >= 1)

    def kill_sender(self) -> None:
        """Kills the senders that run."""
        for pid in self._senders():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends what still runs: trainings, and the senders that they left."""
        for training in self._trainings:
            training.kill()
            training.communicate()
        for pid in self._senders():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _senders(self) -> list[int]:
        held = [outbox for outbox in outboxes(self.root) if SenderLock(outbox).is_held()]
        for outbox in held:
            until(lambda outbox=outbox: SenderState.read(outbox))  # type: ignore[misc]  # bound now
        return [state.pid for outbox in held if (state := SenderState.read(outbox)) is not None]
