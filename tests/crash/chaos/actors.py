"""The processes of a chaos run, and the actions on them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from podium._outbox import SenderLock

from tests.client.sender.outboxes import command_of, sender_of
from tests.crash.chaos.training import RESUMED, Life, Logged

__all__ = ["Disk", "Place", "Senders", "Slot"]

_PROJECT = Path(__file__).parents[3]
_STOP_SECONDS = 60


class Place:
    """The addresses and folders of a run: the server, the outboxes of two machines, the ledgers."""

    def __init__(
        self, address: str, outbox: Path, ledgers: Path, environment: dict[str, str]
    ) -> None:
        self.address = address
        self.roots = [outbox / "here", outbox / "there"]
        self.ledgers = ledgers
        self.environment = environment

    def root(self, number: int) -> Path:
        """Returns the folder for the outbox of the life with this number.

        Successive lives use the outboxes of the two machines in turn.
        """
        return self.roots[number % 2]

    def outboxes(self) -> list[Path]:
        """Returns the folder of each outbox."""
        return [path.parent for root in self.roots for path in root.glob("*/*/outbox.json")]

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a process that runs a module."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=_PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log(),
        )

    def _log(self) -> int:
        with (self.ledgers / "stderr.log").open("ab") as log:
            return os.dup(log.fileno())


class Slot:
    """A process that records, and that is started again after each kill.

    A life is one start of the process.

    Attributes:
        name: The beginning of the names of its arms.
        experiment: The name of its experiment.
        lives: All lives so far. The last one is the current one.
    """

    def __init__(
        self, place: Place, kind: str, name: str, seed: int, *, tears: bool = False
    ) -> None:
        self._place = place
        self._kind = kind
        self.name = name
        self._random = Random(seed)  # noqa: S311 - no secret
        self._tears = tears
        self._process: subprocess.Popen[bytes] | None = None
        self.experiment = f"chaos/{kind}"
        self.lives: list[Life] = []
        self._counts: dict[str, int] = {}

    def start(self, arm: str | None = None) -> None:
        """Starts the next life.

        Args:
            arm: The arm to evaluate, if the process is an evaluator.
        """
        number = len(self.lives)
        life = Life(
            kind=self._kind,
            number=number,
            experiment="chaos/trainer" if arm else self.experiment,
            arm=arm or self.arm(number),
            first_step=self._first_step(),
            address=self._place.address,
            outbox=str(self._place.root(number if self._kind == RESUMED else 0)),
            ledger=str(self._place.ledgers / f"{self.name}-{number}"),
            seed=self._random.randrange(2**32),
            tears=self._tears,
        )
        self.lives.append(life)
        self._process = self._place.start("tests.crash.chaos.training", life.to_json())

    def arm(self, number: int) -> str:
        """Returns the name of the arm that the life with this number records."""
        return self.name if self._kind == RESUMED else f"{self.name}-{number}"

    def _first_step(self) -> int:
        if self._kind != RESUMED or not self.lives:
            return 1
        before = self.lives[-1]
        steps = Logged.read(Path(before.ledger)).steps
        return steps[-1] + 1 if steps else before.first_step

    def kill(self) -> None:
        """Kills the process of the current life."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        _ = self.logged

    def stop(self) -> None:
        """Ends the process of the current life with SIGTERM."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)
        _ = self.logged

    @property
    def has_begun(self) -> bool:
        """Returns whether the current life has its arm in the outbox, so that no kill loses it."""
        return Logged.read(Path(self.lives[-1].ledger)).sure > 0

    @property
    def has_failed(self) -> bool:
        """Returns whether the process of the current life ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def logged(self) -> int:
        """Returns the number of rows that all lives have logged."""
        if self.lives:
            with contextlib.suppress(FileNotFoundError):
                self._counts[self.lives[-1].ledger] = _lines(Path(self.lives[-1].ledger))
        return sum(tuple(self._counts.values()))


class Senders:
    """The senders that recorders start, one for each outbox."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def kill(self, random: Random | None = None) -> int:
        """Kills all running senders, or a random one if `random` is given. Returns their number."""
        running = [pid for outbox in self._place.outboxes() if (pid := sender_of(outbox))]
        chosen = random.sample(running, 1) if random and running else running
        for pid in chosen:
            os.kill(pid, signal.SIGKILL)
            while command_of(pid):
                time.sleep(0.001)
        return len(chosen)

    def start(self) -> None:
        """Starts a sender for each outbox that has none, as the next recorder would do."""
        for outbox in self._place.outboxes():
            if not SenderLock(outbox).is_held():
                self._place.start("podium._sender.detached", str(outbox)).wait()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


class Disk:
    """A small file system that has the outboxes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Fills the disk completely."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))

    def free(self) -> None:
        """Deletes the file with which `fill` has filled the disk."""
        self._filler.unlink(missing_ok=True)

    def grow(self) -> None:
        """Makes the disk large enough for everything."""
        subprocess.run(["mount", "-o", "remount,size=2g", str(self._folder)], check=True)  # noqa: S607
