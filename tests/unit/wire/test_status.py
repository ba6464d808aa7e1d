"""Tests of the conversion of exceptions to google.rpc.Status and back.

Statuses of other servers can be read, too.
"""

from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # no py.typed
from podium import errors
from podium._wire.changed_paths import add_paths, paths_metadata
from podium._wire.status import DETAILS_KEY, from_rpc_error, to_status
from podium.v1 import recording_service_pb2
from podium.v1.recording_service_pb2_grpc import RecordingServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class FailedCall(grpc.RpcError):
    """A failed call as grpc and grpc.aio raise it."""

    def __init__(self, *parts: Any) -> None:
        """Takes the code, message and trailing metadata of a server. Each can be None."""
        super().__init__()
        self._parts = parts

    def code(self) -> Any:
        """Returns the status code."""
        return self._parts[0]

    def details(self) -> Any:
        """Returns the message."""
        return self._parts[1]

    def trailing_metadata(self) -> Any:
        """Returns the trailing metadata."""
        return self._parts[2]


def there_and_back(error: errors.PodiumError) -> errors.PodiumError:
    """Writes an error as a status and reads that status."""
    status = to_status(error)
    return from_rpc_error(FailedCall(status.code, status.text, status.trailing_metadata))


def refused(index: int, reason: str = "ARM_NOT_FOUND", message: str = "m") -> errors.RefusedEvent:
    """Makes a RefusedEvent, which is permanent if its reason is permanent."""
    permanent = errors.REASONS[reason].disposition is errors.Disposition.PERMANENT
    return errors.RefusedEvent(index, reason, permanent, message)


def test_every_reason_comes_back() -> None:
    """An error of each reason keeps its class, message, reason and metadata."""
    for reason, info in errors.REASONS.items():
        back = there_and_back(errors.error_for(reason, "what was wrong", {"field": "events[0]"}))
        assert type(back) is errors.error_class_for(info.code)
        assert (back.message, back.reason, back.code, back.metadata) == (
            "what was wrong",
            reason,
            info.code,
            {"field": "events[0]"},
        )


def test_every_status_code_becomes_an_error() -> None:
    """A status without message and details becomes an error with its code, for any code."""
    for code in grpc.StatusCode:
        error = from_rpc_error(FailedCall(code, None, None))
        assert isinstance(error, errors.PodiumError)
        assert (error.code, error.message, error.reason) == (code.name, code.name, "")


def test_an_error_without_a_status_is_unknown() -> None:
    """A gRPC error without a code becomes an error with the code UNKNOWN."""
    error = from_rpc_error(grpc.RpcError("lost"))
    assert (type(error), error.code, error.message) == (errors.PodiumError, "UNKNOWN", "lost")


def test_a_code_that_grpc_does_not_know_is_sent_as_unknown() -> None:
    """An error with a code that gRPC does not know is sent as UNKNOWN."""
    error = errors.PodiumError("text")
    error.code = "STRANGE"
    assert to_status(error).code is grpc.StatusCode.UNKNOWN


def test_refusals_come_back_in_order() -> None:
    """Every rejected event keeps its index, reason and permanence.

    Events with the same reason get the message of the first one.
    """
    refusals = [
        refused(1, "ARM_NOT_FOUND", "no arm a"),
        refused(4, "STALE_ATTEMPT", "a newer attempt"),
        refused(7, "ARM_NOT_FOUND", "no arm b"),
    ]
    back = there_and_back(errors.error_for("ARM_NOT_FOUND", "no arm a", refusals=refusals))
    assert back.refusals == [
        errors.RefusedEvent(1, "ARM_NOT_FOUND", permanent=False, message="no arm a"),
        errors.RefusedEvent(4, "STALE_ATTEMPT", permanent=True, message="a newer attempt"),
        errors.RefusedEvent(7, "ARM_NOT_FOUND", permanent=False, message="no arm a"),
    ]


def test_a_refusal_of_a_later_version_is_permanent() -> None:
    """A rejected event with an unknown reason or disposition is read as permanent."""
    refusals = recording_service_pb2.Refusals.FromString(
        recording_service_pb2.Refusals(
            refusals=[recording_service_pb2.Refusal(event_indexes=[2], message="later")]
        ).SerializeToString()
        + b"\x0a\x08\x0a\x01\x05\x10\xe7\x07\x18\x09"  # index 5, reason 999, kind 9
    )
    status = status_pb2.Status()
    status.details.add().Pack(refusals)
    error = from_rpc_error(
        FailedCall(grpc.StatusCode.INTERNAL, "x", ((DETAILS_KEY, status.SerializeToString()),))
    )
    assert error.refusals == [
        errors.RefusedEvent(2, "", permanent=True, message="later"),
        errors.RefusedEvent(5, "", permanent=True, message=""),
    ]


def test_details_of_another_domain_are_ignored() -> None:
    """The ErrorInfo of another domain, such as a proxy's, sets no reason and no metadata."""
    status = status_pb2.Status(message="from the details")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="QUOTA", domain="proxy.example", metadata={"a": "b"})
    )
    metadata = (("x", "y"), (DETAILS_KEY, status.SerializeToString()))
    error = from_rpc_error(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, "", metadata))
    assert (error.reason, error.metadata, error.message) == ("", {}, "from the details")


def test_a_garbled_detail_is_left_out() -> None:
    """A detail whose bytes cannot be parsed is ignored. The status is still read."""
    detail = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    status = status_pb2.Status(details=[detail])
    metadata = ((DETAILS_KEY, status.SerializeToString()),)
    error = from_rpc_error(FailedCall(grpc.StatusCode.NOT_FOUND, "no arm", metadata))
    assert (type(error), error.message, error.reason) == (errors.NotFoundError, "no arm", "")


def worst() -> errors.PodiumError:
    """Returns an error as large as the server's limits allow."""
    reasons = [reason for reason, info in errors.REASONS.items() if info.disposition]
    refusals = [refused(i, reasons[i % len(reasons)], "é" * 10_000) for i in range(1000)]
    metadata = dict.fromkeys(("arm", "experiment", "eval", "paths"), "é" * 128)
    return errors.error_for(reasons[0], "é" * 100_000, metadata, refusals)


def test_a_thousand_refusals_are_all_listed() -> None:
    """An error as large as the server's limits allow lists all 1,000 rejected events.

    The `paths` in its metadata are not shortened.
    """
    status = to_status(worst())
    assert len(status.trailing_metadata[0][1]) <= 4608
    back = there_and_back(worst())
    assert [event.index for event in back.refusals] == list(range(1000))
    assert back.metadata["paths"] == "é" * 128


def test_long_names_beside_an_error_are_cut() -> None:
    """Names that are too long for the trailing metadata are shortened. The reason is kept."""
    names = dict.fromkeys(("arm", "experiment", "field"), "é" * 4_000)
    error = errors.error_for("NAME_INVALID", "no", names)
    assert len(to_status(error).trailing_metadata[0][1]) <= 4608
    back = there_and_back(error)
    assert back.reason == "NAME_INVALID"
    assert all(len(name.encode()) <= 300 and name[-1:] == "…" for name in back.metadata.values())


def test_more_refusals_than_fit_are_cut_at_the_end() -> None:
    """If not all rejected events fit, the first ones are listed."""
    refusals = [refused(index) for index in range(100_000)]
    back = there_and_back(errors.error_for("ARM_NOT_FOUND", "text", refusals=refusals))
    listed = [event.index for event in back.refusals]
    assert listed == list(range(len(listed)))
    assert len(listed) > 1000


def changed(keys: "Iterable[str]", refusals: int = 1) -> errors.PodiumError:
    """Returns an error about a run_config in which the parameters `keys` changed."""
    metadata = paths_metadata([f"algorithm.params.{key}" for key in keys])
    text = add_paths(f"the run_config {'differs ' * 30}", metadata)
    reasons = ["RUN_CONFIG_CHANGED"] + ["STALE_ATTEMPT"] * (refusals - 1)
    events = [refused(index, reason, text) for index, reason in enumerate(reasons)]
    return errors.error_for("RUN_CONFIG_CHANGED", f"events[0]: {text}", metadata, events)


def test_a_hundred_paths_come_back() -> None:
    """An error has the first 100 paths and the number of all paths in its metadata.

    Its message has the first 100 paths and the number of the others.
    """
    error = changed(f"hyperparameter_number_{number:03d}" for number in range(250))
    back = there_and_back(error)
    assert back.metadata == {
        "path_count": "250",
        "paths": ",".join(f"algorithm.params.hyperparameter_number_{n:03d}" for n in range(100)),
    }
    assert back.message == error.message
    assert back.message.endswith("algorithm.params.hyperparameter_number_099 and 150 more")
    assert back.refusals == error.refusals


@pytest.mark.parametrize("refusals", [1, 1000])
def test_paths_that_do_not_fit_are_shortened(refusals: int) -> None:
    """100 long paths are shortened and stay different, even beside 1,000 rejected events."""
    error = changed((f"{'é' * 60}_{number:03d}_{'z' * 60}" for number in range(250)), refusals)
    assert len(to_status(error).trailing_metadata[0][1]) <= 5088
    back = there_and_back(error)
    paths = back.metadata["paths"].split(",")
    assert len(set(paths)) == 100
    assert all(f"{number:03d}" in path for number, path in enumerate(paths))
    assert len(back.refusals) == refusals


def test_paths_that_cannot_be_shortened_are_cut_at_the_end() -> None:
    """If 100 long paths have no common words, the list of paths is cut at its end.

    All rejected events are still listed.
    """
    back = there_and_back(changed((chr(33 + n // 2) * (200 + n % 2) for n in range(100)), 1000))
    assert back.metadata["paths"].startswith("algo")
    assert len(back.refusals) == 1000


class Refusing(grpc.GenericRpcHandler):
    """Ends every call with an error."""

    def __init__(self, error: errors.PodiumError) -> None:
        """Takes the error with which calls end."""
        self._status = to_status(error)

    def service(self, _details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        """Returns a handler for any method."""
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    def _refuse(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        code, text, metadata = self._status
        context.set_trailing_metadata(metadata)
        context.abort(code, text)


@pytest.fixture(params=["worst", "paths"])
def refusing_address(request: pytest.FixtureRequest) -> "Iterator[str]":
    """Yields the address of a server that ends every call with a very large error."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    keys = (f"{n}{chr(233) * 100}" for n in range(250))
    error = worst() if request.param == "worst" else changed(keys, 1000)
    server.add_generic_rpc_handlers((Refusing(error),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_the_worst_error_crosses_a_connection(refusing_address: str) -> None:
    """A client that accepts only 8 KiB of headers receives the largest error."""
    limits = [("grpc.max_metadata_size", 8192), ("grpc.absolute_max_metadata_size", 8192)]
    with grpc.insecure_channel(refusing_address, options=limits) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            RecordingServiceStub(channel).Record(recording_service_pb2.RecordRequest(), timeout=10)
        assert len(from_rpc_error(caught.value).refusals) == 1000
