"""Tests of a server on a real file system that fills up, and then gets room again."""

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from podium._wire.status import from_rpc_error
from podium.errors import PodiumError, ResourceExhaustedError
from podium.v1.recording_service_pb2 import RecordRequest, StreamPosition
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub
from podium.v1.results_service_pb2 import ListEvalsRequest
from podium.v1.results_service_pb2_grpc import ResultsServiceStub
from podium.v1.value_pb2 import Value
from podium_server.testing.calls import arm, declared, row

from tests.server.rpc.processes import started

_SECONDS = 120
_MIB = 1024 * 1024
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
_MOUNT = (*_NAMESPACE, "sh", "-c", 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"')


def _can_mount(folder: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = subprocess.run([*_MOUNT, str(folder), "true"], check=False, capture_output=True)
    return probe.returncode == 0


class _Client:
    """Writes rows of 20 KB in one stream, and counts the acknowledged ones."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._record = RecordingServiceStub(channel).Record
        self._list = ResultsServiceStub(channel).ListEvals
        self.acknowledged = 0
        self._record(RecordRequest(experiment="x", events=[declared(), arm()]), timeout=_SECONDS)

    def write(self) -> None:
        """Writes the next row."""
        ballast = {"k": Value(string_value="x" * 20_000)}
        request = RecordRequest(
            experiment="x",
            events=[row("val", self.acknowledged, breakdowns=ballast)],
            position=StreamPosition(writer_id="w", first_sequence=self.acknowledged + 1),
        )
        try:
            response = self._record(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None
        assert (response.changed_events, response.skipped_events) == (1, 0)
        self.acknowledged += 1

    def fill(self) -> PodiumError:
        """Writes rows until one is rejected, and returns its error."""
        for _ in range(1_000):
            try:
                self.write()
            except ResourceExhaustedError as error:
                return error
        raise AssertionError

    def steps(self) -> list[int]:
        """Returns the steps of all rows, in the order in which they were accepted."""
        request, steps = ListEvalsRequest(experiment="x", arm="a"), []
        while True:
            page = self._list(request, timeout=_SECONDS)
            steps += [found.step for found in page.evals]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return steps


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path) -> None:
    """On a full disk, writes get STORAGE_FULL, and reads still work.

    When there is room again, the next event of the stream is accepted. All acknowledged rows are
    there.
    """
    if not _can_mount(tmp_path):
        pytest.skip("this process may not mount a file system")
    store, prefix = tmp_path / "podium.db", (*_MOUNT, str(tmp_path))
    with started(store, "--listen", f"unix:{tmp_path.parent / 'full.sock'}", prefix=prefix) as (
        process,
        address,
    ):
        inside = Path(f"/proc/{process.pid}/root{tmp_path}")
        with grpc.insecure_channel(address) as channel:
            client = _Client(channel)
            client.write()
            (inside / "ballast").write_bytes(b"x" * (3 * _MIB // 2))
            assert client.fill().reason == "STORAGE_FULL"
            assert client.fill().reason == "STORAGE_FULL"
            assert client.steps() == list(range(client.acknowledged))
            (inside / "ballast").unlink()
            for _ in range(5):
                client.write()
            assert client.steps() == list(range(client.acknowledged))
        process.terminate()
        assert process.wait(_SECONDS) == 0
