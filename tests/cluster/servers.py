"""A cluster with three Podium servers.

    python -m tests.cluster.servers

This runs until Ctrl-C, which removes everything.
"""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from podium_server.testing import RunningServer

from tests.cluster.network import new_network
from tests.cluster.nodes import NODES, Cluster, ClusterError

__all__ = ["main", "running_cluster"]

_TEXT = """
Three servers, of which clients use all:
    export PODIUM_ADDRESS={addresses}
PostgreSQL:
    {url}
Patroni:
    {nodes}
Logs and data:
    {folder}
Try to break it:
    kill -9 {leader} (PostgreSQL of the leader: Patroni starts it again on its node)
    kill -9 {patroni} {leader} (its Patroni too: when the lease ends, a replica becomes the leader)
Ctrl-C ends the cluster, and so does `kill {cluster}`.
"""


@contextlib.contextmanager
def running_cluster(
    *, is_synchronous: bool = True
) -> Iterator[tuple[Cluster, list[RunningServer]]]:
    """Runs three nodes of PostgreSQL, and three servers, inside the block."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="podium-cluster-", ignore_cleanup_errors=True)
        )
        network = new_network(NODES)
        stack.callback(network.close)
        cluster = Cluster(Path(folder), network, is_synchronous=is_synchronous)
        stack.callback(cluster.close)
        cluster.start()
        # All servers start at once on the empty database.
        with ThreadPoolExecutor(NODES) as threads:
            servers = list(threads.map(RunningServer, [cluster.url] * NODES))
        for server in servers:
            stack.callback(server.stop)
        yield cluster, servers


def main() -> int:
    """Runs a cluster until SIGINT or SIGTERM."""
    # A shell may start a job in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with running_cluster() as (cluster, servers):
            leader = cluster.leader()
            text = _TEXT.format(
                addresses=",".join(server.address for server in servers),
                url=cluster.url,
                nodes=" ".join(f"http://{node.host}:8008/cluster" for node in cluster.nodes),
                folder=cluster.folder,
                leader="" if leader is None else leader.postgres()[0],
                patroni="" if leader is None else leader.patroni(),
                cluster=os.getpid(),
            )
            sys.stdout.write(text)
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        pass
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
