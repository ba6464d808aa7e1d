"""Three nodes of PostgreSQL under Patroni, with etcd, on this machine."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cluster.network import Network
from tests.postgres import programs

__all__ = ["NODES", "Cluster", "ClusterError", "Node", "wait_until"]

NODES = 3
_TEMPLATE = Path(__file__).with_name("patroni.yml")
_MOUNT, _UMOUNT = "/bin/mount", "/bin/umount"
_USER = "postgres"
# PostgreSQL refuses to run as root. The capability lets Patroni read its own files, wherever the
# project is.
_AS_USER = (
    *("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)
_START_SECONDS = 240
_STOP_SECONDS = 30
_ASK_SECONDS = 2
_PAUSE_SECONDS = 0.1
_DISK = "size=1g"


class ClusterError(Exception):
    """The cluster cannot be started, or does not recover."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = _START_SECONDS) -> Any:
    """Waits until a condition is true, and returns its value."""
    ends = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > ends:
            raise ClusterError(f"after {seconds:.0f} s, {what}")
        time.sleep(_PAUSE_SECONDS)
    return found


class Node:
    """A node: a member of etcd, and a PostgreSQL that Patroni controls.

    Attributes:
        host: The address of the node.
        name: The name of the node.
    """

    def __init__(
        self, number: int, folder: Path, network: Network, peers: list[str], **settings: bool
    ) -> None:
        self.name = f"node{number + 1}"
        self.host = peers[number]
        self._number = number
        self.network = network
        self._peers = peers
        self._folder = folder / self.name
        self._disk = self._folder / "disk"
        self._disk.mkdir(parents=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.has_small_disk = self._mount()
        self._own(self._folder, self._disk)
        names = {"name": self.name, "host": self.host, "folder": self._disk, "net": network.net}
        etcd = ",".join(f"{peer}:2379" for peer in peers)
        text = _TEMPLATE.read_text().format(**names, **settings, etcd=etcd, programs=programs())
        (self._folder / "patroni.yml").write_text(text)

    def _mount(self) -> bool:
        """Mounts a small disk for PostgreSQL, which can be filled. Returns whether that worked."""
        command = [_MOUNT, "-t", "tmpfs", "-o", _DISK, "podium", str(self._disk)]
        return not subprocess.run(command, check=False, capture_output=True).returncode

    def _own(self, *folders: Path) -> None:
        for folder in folders:
            folder.chmod(0o700)
            if os.geteuid() == 0:
                shutil.chown(folder, _USER, _USER)

    def _start(self, name: str, *command: str) -> None:
        as_user = _AS_USER if os.geteuid() == 0 else ()
        with (self._folder / f"{name}.log").open("a") as log:
            self._running[name] = subprocess.Popen(
                [*self.network.prefix(self._number), *as_user, *command],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def start_etcd(self) -> None:
        """Starts the member of etcd."""
        names = enumerate(self._peers, 1)
        client, peer = f"http://{self.host}:2379", f"http://{self.host}:2380"
        arguments = {
            "name": self.name,
            "data-dir": f"{self._folder}/etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": ",".join(f"node{at}=http://{host}:2380" for at, host in names),
            # These are longer than the defaults, because the machine may be busy.
            "heartbeat-interval": "200",
            "election-timeout": "2000",
            # A member that returns does not depose the leader.
            "pre-vote": "true",
        }
        self._start("etcd", "etcd", *(f"--{key}={value}" for key, value in arguments.items()))

    def start(self) -> None:
        """Starts Patroni, which starts PostgreSQL."""
        self._start("patroni", "patroni", str(self._folder / "patroni.yml"))

    def patroni(self) -> int:
        """Returns the process id of Patroni."""
        return self._running["patroni"].pid

    def kill(self) -> None:
        """Kills Patroni and PostgreSQL."""
        self._running["patroni"].kill()
        self._running["patroni"].wait()
        self.signal_postgres(signal.SIGKILL)

    def signal_postgres(self, number: int) -> None:
        """Sends a signal to all processes of PostgreSQL."""
        for process in self.postgres():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def signal_all(self, number: int) -> None:
        """Sends a signal to all processes of the node."""
        for running in self._running.values():
            running.send_signal(number)
        self.signal_postgres(number)

    def cut(self) -> None:
        """Cuts the node off. On the loopback device, stops all its processes instead."""
        try:
            self.network.set_link(self._number, is_up=False)
        except NotImplementedError:
            self.signal_all(signal.SIGSTOP)

    def heal(self) -> None:
        """Ends a cut."""
        try:
            self.network.set_link(self._number, is_up=True)
        except NotImplementedError:
            self.signal_all(signal.SIGCONT)

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fills the disk of PostgreSQL inside the block."""
        path = self._disk / "filling"
        with path.open("wb") as filling, contextlib.suppress(OSError):
            while True:
                filling.write(bytes(2**20))
        try:
            yield
        finally:
            path.unlink()

    def postgres(self) -> list[int]:
        """Returns the process ids of PostgreSQL, that of the main process first."""
        try:
            first = int((self._disk / "data/postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return []
        return [first, *_children(first)]

    def state(self) -> dict[str, str]:
        """Returns the role of each node by name, as this node sees them."""
        url = f"http://{self.host}:8008/cluster"
        try:
            with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as response:
                members = json.load(response)["members"]
        except (OSError, ValueError):
            return {}
        working = {("leader", "running"), ("replica", "streaming"), ("sync_standby", "streaming")}
        roles = {each["name"]: (each["role"], each.get("state")) for each in members}
        return {name: role for name, (role, state) in roles.items() if (role, state) in working}

    def is_leader(self) -> bool:
        """Returns whether the node is the leader."""
        try:
            urllib.request.urlopen(f"http://{self.host}:8008/leader", timeout=_ASK_SECONDS).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Ends all processes of the node."""
        self.signal_all(signal.SIGKILL)
        for running in self._running.values():
            running.wait()
        if self.has_small_disk:
            subprocess.run([_UMOUNT, "--lazy", str(self._disk)], check=False)


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of a command may have spaces and brackets.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(stat.parts[-2]))
    return found


class Cluster:
    """Three nodes.

    Args:
        folder: The folder for all data and logs.
        network: The addresses of the nodes.
        is_synchronous: Whether commits wait for a replica. Without that, a failure loses rows.

    Attributes:
        nodes: The nodes.
        folder: The folder with all data and logs.
        url: The URL of the store.
    """

    def __init__(self, folder: Path, network: Network, *, is_synchronous: bool = True) -> None:
        missing = [name for name in ("patroni", "etcd") if shutil.which(name) is None]
        if missing or programs() is None:
            text = f"{' and '.join(missing) or 'postgresql'} missing: run make cluster-test"
            raise ClusterError(f"{text}, and install Debian's postgresql and etcd-server")
        self.folder = folder
        folder.chmod(0o755)
        peers = [network.host(number) for number in range(NODES)]
        self._is_synchronous = is_synchronous
        self.nodes = [
            Node(number, folder, network, peers, is_synchronous=is_synchronous)
            for number in range(NODES)
        ]
        hosts = ",".join(f"{peer}:5432" for peer in peers)
        self.url = f"postgresql://postgres@{hosts}/postgres"

    def start(self) -> None:
        """Starts all nodes, and waits until they replicate."""
        for node in self.nodes:
            node.start_etcd()
        for node in self.nodes:
            node.start()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Waits until all nodes replicate, one of them synchronously."""
        wait_until(self.is_whole, "not all nodes replicate")

    def is_whole(self) -> bool:
        """Returns whether there are a leader, a synchronous replica and another one.

        All nodes must say so, because one that was cut off has an old state.
        """
        first, *others = [node.state() for node in self.nodes]
        if any(state != first for state in others):
            return False
        roles = sorted(first.values())
        return roles == ["leader", "replica", "sync_standby" if self._is_synchronous else "replica"]

    def leader(self) -> Node | None:
        """Returns the leader, if there is one now."""
        return next((node for node in self.nodes if node.is_leader()), None)

    def replicas(self) -> list[Node]:
        """Returns the replicas, the synchronous one first."""
        roles = self.nodes[0].state()
        found = [node for node in self.nodes if roles.get(node.name) in {"sync_standby", "replica"}]
        return sorted(found, key=lambda node: roles[node.name] == "replica")

    def close(self) -> None:
        """Ends all processes."""
        for node in self.nodes:
            node.close()
