"""`podium serve` starts the real server, and ends with exit code 0 if it is stopped."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.client.cli.shell import PODIUM, podium
from tests.sparse import sparse


@pytest.mark.parametrize("stop", sparse([signal.SIGINT, signal.SIGTERM]))
def test_serve(tmp_path: Path, stop: signal.Signals) -> None:
    """The command serves a store on the address that it prints, until it is stopped."""
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    command = [*PODIUM, "serve", "--listen", "127.0.0.1:0", "--store", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout is not None
        address = server.stdout.readline().decode().removeprefix("listening on ").strip()
        assert podium("declare", "e", address=address).code == 0
        assert podium("experiments", "--json", address=address).out.count('"name": "e"') == 1
        server.send_signal(stop)
        assert server.wait(120) == 0


def test_serve_says_what_is_wrong(tmp_path: Path) -> None:
    """An invalid setting ends the command with exit code 2 and an error that names an option."""
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    done = podium("serve", "--listen", "0.0.0.0:0", "--store", store)
    assert done.code == 2
    assert "--insecure" in done.err
    assert "Traceback" not in done.err
