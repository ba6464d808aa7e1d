"""Tests that both clients send every rpc and every field of its request."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import grpc
import podium
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium import events
from podium.v1 import access_service_pb2, event_pb2, recording_service_pb2, results_service_pb2

from tests.client.client.both import AnyClient, entered, items, result
from tests.client.client.broken import grpc_server
from tests.each import each

PAIRS = [
    (podium.Client, podium.AsyncClient),
    (podium.ExperimentHandle, podium.AsyncExperimentHandle),
    (podium.ArmHandle, podium.AsyncArmHandle),
    (podium.ArmRun, podium.AsyncArmRun),
    (podium.Live, podium.AsyncLive),
]
MODULES = [results_service_pb2, recording_service_pb2, access_service_pb2, event_pb2]
FILES = [module.DESCRIPTOR for module in MODULES]
RPCS = [
    rpc for file in FILES for service in file.services_by_name.values() for rpc in service.methods
]

CONFIG = podium.RunConfig("r")
RUN_RESULT = podium.RunResult("r", "ok")
RESULT = podium.ArmResult("a", CONFIG, "failed")


async def declare(client: AnyClient) -> None:
    """Sets every field of a declaration."""
    await result(
        client.experiment("e").declare(
            hypothesis="h",
            success_metric="m",
            direction="minimize",
            parent="p",
            tags=["t"],
            metadata={"k": 1},
            overwrite=True,
            clear_fields=["conclusion"],
        )
    )


async def start(client: AnyClient) -> None:
    """Starts an arm in each way, and sets every field of its events."""
    groups = {"group_id": "g", "group_name": "g", "run_id": "r"}
    experiment = client.experiment("e")
    origin = podium.Provenance(host="h")
    await result(experiment.start_arm(CONFIG, **groups, restart=True, provenance=origin))
    arm = await result(experiment.start_arm(CONFIG, resume_step=1))
    await result(arm.log({"m": 1}, step=1))
    await result(arm.log_eval("v", {"m": 1}))
    tags = {"add_tags": ["t"], "remove_tags": ["u"]}
    await result(arm.annotate(notes="n", group_name="g", **tags))
    await result(arm.annotate(notes="", group_name=""))
    await result(arm.finish("failed", error="e", train_seconds=1, run_result=RUN_RESULT))


async def record(client: AnyClient) -> None:
    """Sets every field of a Record call."""
    experiment = client.experiment("e")
    await result(experiment.conclude("c"))
    await result(experiment.record_arm(RESULT, replace=True))
    await result(client.record("e", [events.skipped()], podium.StreamPosition("w", 1)))
    await result(client.record("e", [events.skipped()], validate_only=True))
    await declare(client)
    await start(client)


LIMITS = podium.TokenLimits(
    calls_per_second=1,
    calls=1,
    watches=1,
    events_per_second=1,
    bytes_per_second=1,
    stored_rows=1,
)
CALLS: dict[str, Callable[[AnyClient], Any]] = {
    "Eval": lambda client: result(client.arm("e", "a").eval("v", step=1)),
    "Score": lambda client: result(client.arm("e", "a").score("m")),
    "GetArm": lambda client: result(client.arm("e", "a").get()),
    "ListArms": lambda client: items(
        client.experiment("e").arms(
            status="failed",
            group_name="g",
            name_prefix="p",
            tags=["t"],
            config={"a": 1, "b": (1, 2)},
            run_configs=False,
            page_size=1,
        )
    ),
    "ListMetrics": lambda client: items(client.experiment("e").metrics()),
    "GetServer": lambda client: result(client.server()),
    "ListEvals": lambda client: items(
        client.arm("e", "a").evals(name="v", min_step=1, max_step=2, page_size=1)
    ),
    "ListSeries": lambda client: result(
        client.arm("e", "a").all_series(["m"], min_step=1, max_step=2, page_size=1)
    ),
    "GetExperiment": lambda client: result(client.experiment("e").get()),
    "ListExperiments": lambda client: items(
        client.experiments(name_prefix="p", status="failed", tags=["t"], page_size=1)
    ),
    "Rank": lambda client: result(
        client.experiment("e").rank_groups(
            "m",
            direction="minimize",
            status="failed",
            group_name="g",
            name_prefix="p",
            tags=["t"],
            config={"a": 1, "b": (1, 2)},
            min_members=2,
            top=2000,
        )
    ),
    "Scores": lambda client: result(
        client.experiment("e").scores(
            ["m"],
            status="failed",
            group_name="g",
            name_prefix="p",
            tags=["t"],
            config={"a": 1, "b": (1, 2)},
            page_size=1,
        )
    ),
    "Watch": lambda client: items(
        client.experiment("e").watch(
            after=podium.WatchMarker(3, "epoch"),
            status="failed",
            group_name="g",
            name_prefix="p",
            with_evals=False,
            with_breakdowns=False,
            with_series=["loss"],
        )
    ),
    "Record": record,
    "DeleteArm": lambda client: result(client.arm("e", "a").delete(allow_missing=True)),
    "WhoAmI": lambda client: result(client.whoami()),
    "CreateToken": lambda client: result(
        client.create_token(
            "t", "reader", prefixes=["p"], expire_time=datetime.now(UTC), limits=LIMITS
        )
    ),
    "ListTokens": lambda client: items(client.tokens()),
    "RevokeToken": lambda client: result(client.revoke_token("t")),
    "DeleteExperiment": lambda client: result(client.experiment("e").delete(allow_missing=True)),
}


def fields_of(kind: Descriptor) -> set[str]:
    """Returns the names of all fields of a request and of the messages in it.

    Messages that a codec of `podium._wire` writes are left out.
    """
    names = {field.full_name for field in kind.fields}
    parts = [field.message_type for field in kind.fields if is_ours(field)]
    return names.union(*(fields_of(part) for part in parts if part))


def fields_in(message: Message) -> Iterator[str]:
    """Yields the names of the fields that are set in a request and in its messages."""
    for field, value in message.ListFields():
        yield field.full_name
        if is_ours(field):
            for part in value if field.is_repeated else [value]:
                yield from fields_in(part)


def is_ours(field: FieldDescriptor) -> bool:
    """Returns whether a field's message is defined in a file of requests or events."""
    kind = field.message_type
    return kind is not None and kind.file in FILES and not kind.GetOptions().map_entry


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
@pytest.mark.parametrize("kind", [podium.Client, podium.AsyncClient])
async def test_every_field_of_every_rpc_is_sent(rpc: MethodDescriptor, kind: Any) -> None:
    """The methods of each client can set every field of the rpc's request."""
    sent: set[str] = set()

    def answer(raw: bytes, _context: grpc.ServicerContext) -> bytes:
        request: Any = GetMessageClass(rpc.input_type)()
        request.ParseFromString(raw)
        sent.update(fields_in(request))
        response: Any = GetMessageClass(rpc.output_type)()
        if "next_page_token" in rpc.output_type.fields_by_name and not request.page_token:
            response.next_page_token = "next"  # noqa: S105 - no secret
        if "deleted" in rpc.output_type.fields_by_name:
            response.deleted = True
        return bytes(response.SerializeToString())

    with grpc_server(**{rpc.name: answer}) as address:
        async with entered(kind(address)) as client:
            await CALLS[rpc.name](client)
    assert sent == fields_of(rpc.input_type)


def test_a_record_result_has_every_field_of_the_response() -> None:
    """The result of a Record call has every field of the response."""
    answers = recording_service_pb2.DESCRIPTOR.message_types_by_name
    for name, kind in [("RecordResponse", podium.RecordResult), ("KeptField", podium.KeptField)]:
        assert set(answers[name].fields_by_name) == {field.name for field in fields(kind)}
    position = set(answers["StreamPosition"].fields_by_name)
    assert position == {field.name for field in fields(podium.StreamPosition)}


def methods(kind: type) -> dict[str, Any]:
    """Returns the public methods of a class by name, and the two methods that `with` calls.

    The names of `__aenter__` and `__aexit__` become `__enter__` and `__exit__`.
    """
    return {
        name.replace("__a", "__"): value
        for name, value in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name in {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    }


@each(("blocking", "asynchronous"), PAIRS)
def test_both_clients_have_the_same_methods(blocking: type, asynchronous: type) -> None:
    """Both clients have the same methods, with the same parameters and defaults.

    Each method has a docstring.
    """
    theirs = methods(asynchronous)
    assert set(theirs) == set(methods(blocking))
    for name, method in methods(blocking).items():
        ours, other = inspect.signature(method), inspect.signature(theirs[name])
        assert list(ours.parameters.values()) == list(other.parameters.values())
        assert name.startswith("__") or (method.__doc__ and theirs[name].__doc__)


def test_recording_classes_have_the_parameters_of_the_interface() -> None:
    """Each class that records has exactly the parameters and defaults of the interface."""
    for interface, kind in [
        (podium.ExperimentRecorder, podium.ExperimentHandle),
        (podium.ExperimentRecorder, podium.ExperimentRecording),
        (podium.ArmRecorder, podium.ArmRun),
        (podium.ArmRecorder, podium.ArmRecording),
    ]:
        for name, method in methods(interface).items():
            ours = inspect.signature(getattr(kind, name)).parameters.values()
            theirs = inspect.signature(method).parameters.values()
            assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]
