"""Kills trainers, senders and the server while results are recorded, and looks for what is lost.

    python -m tests.crash.chaos.run --kills 100 --rows 50000

Four processes record as a training does, into the outboxes of two machines, on a small disk; the
senders that they start deliver to one server. Each is killed with SIGKILL at random moments, the
server is stopped now and then as a hanging one is, and the disk fills up. In the end `podium sync`
delivers the rest, and `checker` compares everything. `--plant` brings a defect of senders in, and
the event that shows it, to see that it is found. A run reports its progress every few seconds.
After `--minutes`, or on SIGTERM, it kills nothing more, delivers the rest, and reports.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from random import SystemRandom

from tests.crash.chaos.chaos import Chaos
from tests.crash.chaos.report import Report
from tests.crash.chaos.sending import PLANTS

__all__ = ["main", "run"]

_PROJECT = Path(__file__).parents[3]
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = (*_NAMESPACE, "sh", "-ec", 'mount -t tmpfs -o size=48m tmpfs "$0"; exec "$@"')
_MINUTES = 30.0


def run(
    kills: int,
    rows: int,
    seed: int,
    *,
    plant: str | None = None,
    disk: Path | None = None,
    time_out: threading.Event | None = None,
) -> Report:
    """Kills so often while so many rows are logged, and more.

    Args:
        kills: How many processes are killed at least.
        rows: How many rows are logged at least.
        seed: What chance begins with.
        plant: The name of a defect of senders, which is shown after the kills.
        disk: A small file system for the outbox, which is filled up now and then.
        time_out: Ends the kills early when it is set. The rest is delivered and checked.
    """
    with tempfile.TemporaryDirectory() as folder:
        outbox = disk or Path(folder) / "outbox"
        outbox.mkdir(exist_ok=True)
        time_out = time_out or threading.Event()
        under_way = Chaos(Path(folder), outbox, seed, plant, time_out, is_small=disk is not None)
        under_way.go(kills, rows)
        return under_way.report


def _on_a_small_disk(arguments: list[str]) -> int | None:
    """Runs the command with the outbox on a file system of its own; None: nobody may mount one."""
    with tempfile.TemporaryDirectory() as folder:
        probe = [*_MOUNT, folder, "true"]
        if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
            return None
        command = [*_MOUNT, folder, sys.executable, "-m", "tests.crash.chaos.run", *arguments]
        with subprocess.Popen([*command, "--disk", folder], cwd=_PROJECT) as process:
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            return process.wait()


def main() -> int:
    """The command; 1: something is wrong, 2: too little happened to say so."""
    parser = argparse.ArgumentParser(description="Kills everything while results are recorded.")
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    parser.add_argument("--plant", choices=sorted(PLANTS))
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="stop killing after that")
    parser.add_argument("--disk", type=Path, help="a small file system, to be filled up")
    arguments = parser.parse_args()
    if arguments.disk is None:
        code = _on_a_small_disk([*sys.argv[1:], "--seed", str(arguments.seed)])
        if code is not None:
            return code
        sys.stdout.write("no full disk: this machine lets nobody mount a file system\n")
    sys.stdout.write(f"seed {arguments.seed}\n")
    sys.stdout.flush()
    time_out = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: time_out.set())
    timer = threading.Timer(60 * arguments.minutes, time_out.set)
    timer.daemon = True
    timer.start()
    report = run(
        arguments.kills,
        arguments.rows,
        arguments.seed,
        plant=arguments.plant,
        disk=arguments.disk,
        time_out=time_out,
    )
    sys.stdout.write(f"{report}\n")
    if report.findings.any:
        return 1
    too_little = report.too_little(arguments.kills, arguments.rows)
    if too_little:
        sys.stdout.write(f"that is too little to say anything: {', '.join(too_little)}\n")
    return 2 if too_little else 0


if __name__ == "__main__":
    sys.exit(main())
