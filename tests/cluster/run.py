"""Breaks a cluster under write load, and searches for lost rows.

    python -m tests.cluster.run --kills 20 --cuts 10 --pauses 5 --fills 1 --rows 20000

Writers record at three servers, and send each call again until it is answered. Meanwhile, faults
happen one after the other, in a random order: leaders are killed and cut off, replicas pause, and
the disk of a leader fills up. The watches of all servers begin before the first fault, and must
show new rows after each one. A call must be acknowledged within 20 seconds of a new leader.

At the end, the servers must have each acknowledged row once, and each call must have one revision.
Each watch must have shown exactly these rows.
"""

import argparse
import collections
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom
from typing import ParamSpec, TypeVar

import grpc

from tests.cluster.nodes import Cluster, ClusterError, Node, wait_until
from tests.cluster.servers import running_cluster
from tests.cluster.watcher import Row, Watcher
from tests.crash.durability.checker import Findings, check
from tests.crash.durability.writers import Evaluator, Trainer, Writer, begin

__all__ = ["main"]

P = ParamSpec("P")
T = TypeVar("T")

_EXPERIMENTS = ("cluster/a", "cluster/b")
_WRITERS = (Trainer, Trainer, Trainer, Evaluator)
_MOST_SECONDS = 20.0
"""The most seconds that may pass from a new leader to the first acknowledged call."""
_WATCH_SECONDS = 60.0
_ANSWER_SECONDS = 120.0
_JITTER_SECONDS = 1.0
_CUT_SECONDS = 1.0
_PAUSED_SECONDS = 5.0


@dataclass
class Report:
    """The faults, measured seconds and findings of a run."""

    faults: collections.Counter[str] = field(default_factory=collections.Counter)
    back: list[float] = field(default_factory=list)
    outages: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)
    rows: int = 0
    unknown: int = 0
    findings: Findings = field(default_factory=Findings)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        found = self.findings
        lines = (
            faults,
            f"{self.rows} rows acknowledged, {self.unknown} calls sent again",
            f"from a new leader to the first write, limit 20 s: {_worst(self.back)} s",
            f"from the fault to the first write: {_worst(self.outages)} s",
            f"from a recovered cluster to all watches: {_worst(self.watched)} s",
            f"{found.lost} rows lost, {found.doubled} calls doubled, {found.other} other findings",
            *found.samples,
        )
        return "\n  ".join(lines)


def _worst(seconds: list[float]) -> str:
    return (
        f"at most {max(seconds, default=0):.1f} (median {sorted(seconds)[len(seconds) // 2]:.1f})"
    )


class Trial:
    """A cluster under write load.

    Args:
        cluster: The cluster.
        addresses: The addresses of its servers.
        random: Chooses the moments of faults.
    """

    def __init__(self, cluster: Cluster, addresses: list[str], random: Random) -> None:
        self.report = Report()
        self._cluster = cluster
        self._random = random
        self._addresses = addresses
        for experiment in _EXPERIMENTS:
            _answered(begin, addresses[0], experiment)
        self._writers = [self._writer(number) for number in range(2 * len(_WRITERS))]
        self._watchers = [
            Watcher(address, experiment) for address in addresses for experiment in _EXPERIMENTS
        ]
        for thread in (*self._writers, *self._watchers):
            thread.start()
        # A watch that never had an update gives up after 10 seconds.
        wait_until(lambda: all(each.revision for each in self._watchers), "a watch shows nothing")

    def _writer(self, number: int) -> Writer:
        kind = _WRITERS[number // 2]
        first = number % len(self._addresses)
        servers = ",".join(self._addresses[first:] + self._addresses[:first])
        name = f"{kind.__name__}{number}"
        seed = self._random.randrange(2**32)
        return kind(f"ipv4:{servers}", _EXPERIMENTS[number % 2], name, seed)

    def kill(self) -> None:
        """Kills the leader and its Patroni. Starts them again when there is another leader.

        Before that, its replicas are cut off, so that a commit that does not wait for them is lost.
        """
        with self._fault("leaders killed") as leader:
            replicas = self._cluster.replicas()
            for replica in replicas:
                replica.cut()
            time.sleep(self._random.uniform(0, _CUT_SECONDS))
            leader.kill()
            for replica in replicas:
                replica.heal()
            self._measure(leader)
            leader.start()

    def cut(self) -> None:
        """Cuts the leader off until there is another one."""
        with self._fault("leaders cut off") as leader:
            leader.cut()
            self._measure(leader)
            leader.heal()

    def pause(self) -> None:
        """Pauses the synchronous replica. Commits wait for it until it is replaced."""
        with self._fault("replicas paused"):
            replica = self._cluster.replicas()[0]
            replica.signal_postgres(signal.SIGSTOP)
            self._measure(None)
            time.sleep(self._random.uniform(0, _PAUSED_SECONDS))
            replica.signal_postgres(signal.SIGCONT)

    def fill(self) -> None:
        """Fills the disk of the leader for some seconds."""
        with self._fault("disks filled") as leader:
            if not leader.has_small_disk:
                self.report.faults["disks not filled, since nothing may be mounted"] += 1
                return
            with leader.full_disk():
                time.sleep(_PAUSED_SECONDS)
            self._measure(None)

    @contextlib.contextmanager
    def _fault(self, name: str) -> Iterator[Node]:
        """Yields the leader of a whole cluster, and waits afterwards until it is whole again."""
        time.sleep(self._random.uniform(0, _JITTER_SECONDS))
        leader = wait_until(self._cluster.leader, "there is no leader")
        yield leader
        self.report.faults[name] += 1
        self._cluster.wait_until_whole()
        self._watch()
        self._show(name)

    def _measure(self, former: Node | None) -> None:
        """Measures the seconds until calls are acknowledged again.

        Args:
            former: The leader that must be replaced first, or None.
        """
        begin = time.monotonic()

        def leads() -> bool:
            return self._cluster.leader() not in {None, former}

        wait_until(leads, "there is no new leader")
        leading, rows = time.monotonic(), self._rows()
        wait_until(lambda: self._rows() > rows or self.failures(), "no call is acknowledged")
        now = time.monotonic()
        self.report.back.append(now - leading)
        self.report.outages.append(now - begin)
        if now - leading > _MOST_SECONDS:
            text = f"no call was acknowledged for {now - leading:.1f} s after a new leader"
            self.report.findings.note(text)

    def _watch(self) -> None:
        """Waits until each watch shows a revision that was acknowledged after the fault."""
        begin, rows = time.monotonic(), self._rows()
        wait_until(lambda: self._rows() > rows or self.failures(), "no call is acknowledged")
        revisions = {name: self._revision(name) for name in _EXPERIMENTS}
        try:
            wait_until(partial(self._have_shown, revisions), "a watch is late", _WATCH_SECONDS)
        except ClusterError as error:
            shown = [watcher.revision for watcher in self._watchers]
            self.report.findings.note(f"{error}: revisions {shown} instead of {revisions}")
        self.report.watched.append(time.monotonic() - begin)

    def _have_shown(self, revisions: dict[str, int]) -> bool:
        return all(each.revision >= revisions[each.experiment] for each in self._watchers)

    def _revision(self, experiment: str) -> int:
        """Returns the last acknowledged revision of an experiment."""
        arms = [arm for writer in self._writers for arm in writer.arms]
        calls = [arm.calls[-1:] for arm in arms if arm.experiment == experiment]
        return max((call.revision for last in calls for call in last), default=0)

    def _rows(self) -> int:
        return sum(writer.rows for writer in self._writers)

    def failures(self) -> list[str]:
        """Returns the errors of writers that gave up."""
        return [writer.failure for writer in self._writers if writer.failure]

    def _show(self, name: str) -> None:
        line = f"{name}: {self.report.outages[-1]:.1f} s; {self._rows()} rows\n"
        sys.stdout.write(line)
        sys.stdout.flush()

    def finish(self, rows: int) -> None:
        """Waits until `rows` rows are acknowledged, and compares servers and watches with them."""
        wait_until(lambda: self._rows() >= rows or self.failures(), "too few rows", 3_600)
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            writer.join()
        report = self.report
        report.rows, report.unknown = self._rows(), sum(each.unknown for each in self._writers)
        for text in self.failures():
            report.findings.note(text)
        arms = [arm for writer in self._writers for arm in writer.arms]
        for address in self._addresses:
            found = _answered(check, address, arms)
            report.findings.lost += found.lost
            report.findings.doubled += found.doubled
            report.findings.other += found.other
            report.findings.samples += found.samples
        for text in () if self.failures() else self._watch_faults():
            report.findings.note(text)

    def _watch_faults(self) -> Iterator[str]:
        """Yields the faults of watches, once they have shown the last revision."""
        arms = [arm for writer in self._writers for arm in writer.arms]
        for watcher in self._watchers:
            expected: dict[Row, float] = {
                (arm.name, arm.eval_name, step): float(step)
                for arm in arms
                if arm.experiment == watcher.experiment
                for call in arm.calls
                for step in call.steps
            }
            with contextlib.suppress(ClusterError):
                wait_until(partial(_has, watcher, expected), "rows are missing", _WATCH_SECONDS)
            name = f"a watch of {watcher.experiment} at revision {watcher.revision}"
            if missing := expected.items() - watcher.rows.items():
                yield f"{name} lacks {len(missing)} rows"
            if others := watcher.rows.keys() - expected.keys():
                yield f"{name} shows {len(others)} rows that no call wrote"
            yield from watcher.faults


def _answered(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that makes calls to servers, and repeats it until they answer.

    Returns the result of the function.
    """
    ends = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            return ask(*args, **kwargs)
        except grpc.RpcError:
            if time.monotonic() > ends:
                raise
            time.sleep(_JITTER_SECONDS)


def _has(watcher: Watcher, expected: dict[Row, float]) -> bool:
    return expected.items() <= watcher.rows.items()


def main() -> int:
    """Runs the command. Returns 1 if there are findings, and 2 if the cluster does not work."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    counts = {"kills": 1, "cuts": 1, "pauses": 1, "fills": 1, "rows": 1_000}
    for name, default in counts.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--plant", action="store_true", help="let commits not wait for a replica, so rows are lost"
    )
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**32))
    given = parser.parse_args()
    random = Random(given.seed)  # noqa: S311 - no secret
    started = time.monotonic()
    try:
        with running_cluster(is_synchronous=not given.plant) as (cluster, servers):
            kind = type(cluster.nodes[0].network).__name__
            sys.stdout.write(f"seed {given.seed}, nodes in: {kind}\n")
            trial = Trial(cluster, [server.address for server in servers], random)
            faults: list[Callable[[], None]] = [
                *given.kills * [trial.kill],
                *given.cuts * [trial.cut],
                *given.pauses * [trial.pause],
                *given.fills * [trial.fill],
            ]
            random.shuffle(faults)
            for fault in faults:
                if not trial.failures():
                    fault()
            trial.finish(given.rows)
    except ClusterError as error:
        sys.stdout.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{trial.report}\n  in {time.monotonic() - started:.0f} s\n")
    return 1 if trial.report.findings.any else 0


if __name__ == "__main__":
    sys.exit(main())
