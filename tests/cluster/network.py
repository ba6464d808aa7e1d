"""The addresses of the nodes, and cuts between them.

If this process may create network namespaces, each node has one behind a bridge, and a cut takes
the node's link down. Otherwise all nodes are on the loopback device, and a cut stops the processes
of the node.
"""

import os
import shutil
import subprocess

__all__ = ["Loopback", "Namespaces", "Network", "new_network"]

_IP = shutil.which("ip") or "/usr/sbin/ip"


class Network:
    """The network of the nodes, which are numbered from 0."""

    net = ""
    """The range of the addresses of all nodes."""

    def host(self, node: int) -> str:
        """Returns the address of a node."""
        raise NotImplementedError

    def prefix(self, node: int) -> list[str]:
        """Returns the first words of commands that run on a node."""
        raise NotImplementedError

    def set_link(self, node: int, *, is_up: bool) -> None:
        """Cuts a node off from all others, or connects it again."""
        raise NotImplementedError

    def close(self) -> None:
        """Removes the network."""


class Loopback(Network):
    """All nodes are on the loopback device, where nothing can be cut off."""

    net = "127.0.0.0/8"

    def host(self, node: int) -> str:
        """Returns the address of a node."""
        return f"127.0.0.{node + 11}"

    def prefix(self, node: int) -> list[str]:
        """Returns an empty list: commands run directly."""
        del node
        return []


class Namespaces(Network):
    """Each node has a namespace, whose link ends at a bridge of this machine."""

    def __init__(self, nodes: int) -> None:
        number = os.getpid() % 250
        self._bridge = f"pdm{number}"
        self._front = f"10.213.{number}"
        self.net = f"{self._front}.0/24"
        self._nodes = range(nodes)
        self.close()
        _ip(f"link add {self._bridge} type bridge")
        _ip(f"address add {self._front}.254/24 dev {self._bridge}")
        _ip(f"link set {self._bridge} up")
        for node in self._nodes:
            self._add(node)

    def _add(self, node: int) -> None:
        name, link = self._name(node), self._link(node)
        _ip(f"netns add {name}")
        _ip(f"link add {link} type veth peer name eth0 netns {name}")
        _ip(f"link set {link} master {self._bridge} up")
        _ip(f"-n {name} link set lo up")
        _ip(f"-n {name} address add {self.host(node)}/24 dev eth0")
        _ip(f"-n {name} link set eth0 up")

    def _name(self, node: int) -> str:
        return f"{self._bridge}n{node}"

    def _link(self, node: int) -> str:
        return f"{self._bridge}v{node}"

    def host(self, node: int) -> str:
        """Returns the address of a node."""
        return f"{self._front}.{node + 1}"

    def prefix(self, node: int) -> list[str]:
        """Returns the first words of commands that run on a node."""
        return ["ip", "netns", "exec", self._name(node)]

    def set_link(self, node: int, *, is_up: bool) -> None:
        """Cuts a node off from all others, or connects it again."""
        _ip(f"link set {self._link(node)} {'up' if is_up else 'down'}")

    def close(self) -> None:
        """Removes the network."""
        for node in self._nodes:
            _ip(f"netns delete {self._name(node)}", check=False)
        _ip(f"link delete {self._bridge}", check=False)


def _ip(arguments: str, *, check: bool = True) -> None:
    subprocess.run([_IP, *arguments.split()], check=check, capture_output=True)


def new_network(nodes: int) -> Network:
    """Returns a network of namespaces if they are permitted, or else the loopback device."""
    if os.geteuid() == 0 and shutil.which(_IP):
        try:
            return Namespaces(nodes)
        except subprocess.CalledProcessError:
            pass
    return Loopback()
