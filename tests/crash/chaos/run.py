"""Kills trainers, senders and the server while results are recorded, and searches for losses.

    python -m tests.crash.chaos.run --kills 100 --rows 50000

Four processes record like training runs and an evaluator, into the outboxes of two machines, on a
small disk. The senders that they start deliver to one server. Processes are killed with SIGKILL at
random moments. Sometimes the server hangs, or the disk is full. At the end, `podium sync` delivers
the remaining events, and `checker` compares the results with the logged rows.

`--plant` gives the senders a defect, and waits for the event that shows it, to prove that the
checks find it. A run reports its progress every few seconds. After `--minutes`, or on SIGTERM, it
kills nothing more, delivers the remaining events, and reports.
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
    """Kills processes while rows are logged, and checks the results.

    Args:
        kills: The least number of kills.
        rows: The least number of logged rows.
        seed: The seed of the random choices.
        plant: The name of a defect of senders. After the kills, the run waits until it shows.
        disk: A small file system for the outboxes, which is sometimes filled completely.
        time_out: Ends the kills early when it is set. All events are still delivered and checked.
    """
    with tempfile.TemporaryDirectory() as folder:
        outbox = disk or Path(folder) / "outbox"
        outbox.mkdir(exist_ok=True)
        time_out = time_out or threading.Event()
        under_way = Chaos(Path(folder), outbox, seed, plant, time_out, is_small=disk is not None)
        under_way.go(kills, rows)
        return under_way.report


def _on_a_small_disk(arguments: list[str]) -> int | None:
    """Runs this command again, with the outboxes on a small file system. Returns its exit code.

    Returns None if this user may not mount a file system.
    """
    with tempfile.TemporaryDirectory() as folder:
        probe = [*_MOUNT, folder, "true"]
        if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
            return None
        command = [*_MOUNT, folder, sys.executable, "-m", "tests.crash.chaos.run", *arguments]
        with subprocess.Popen([*command, "--disk", folder], cwd=_PROJECT) as process:
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            return process.wait()


def main() -> int:
    """Runs the command. Returns 1 after a finding, and 2 if too little happened for a proof."""
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
        sys.stdout.write("no full disk: this process may not mount a file system\n")
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
