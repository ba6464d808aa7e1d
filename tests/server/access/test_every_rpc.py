"""Tests of every rpc with every kind of token.

The list of rpcs comes from the protobuf descriptors, so that no rpc is left out.
"""

import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import podium
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium._values.tokens import new_token
from podium._wire.status import from_rpc_error
from podium.v1 import access_service_pb2, recording_service_pb2, results_service_pb2
from podium_server.rpc.access import tokens as access_tokens
from podium_server.rpc.access.rules import RULES, Rule, RuleError, check_rules, name_check
from podium_server.serve import tokens
from podium_server.store.open import add_token
from podium_server.store.tokens import Role, TokenRow, digest_of

from tests.server.access.serving import serving
from tests.sparse import sparse
from tests.stores import store_url

RPCS = {
    rpc.name: rpc
    for module in (results_service_pb2, recording_service_pb2, access_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for rpc in service.methods
}
ARM = {"arm": "a"}
READER, RECORDER, ADMIN = Role.READER, Role.RECORDER, Role.ADMIN
CASES: dict[str, tuple[Role, dict[str, Any]]] = {
    "Eval": (READER, {**ARM, "name": "val"}),
    "Score": (READER, {**ARM, "metric": "val.acc"}),
    "GetArm": (READER, ARM),
    "ListArms": (READER, {}),
    "ListEvals": (READER, ARM),
    "ListSeries": (READER, ARM),
    "GetExperiment": (READER, {}),
    "ListExperiments": (READER, {}),
    "Rank": (READER, {"metric": "val.acc"}),
    "Scores": (READER, {"metrics": ["val.acc"]}),
    "ListMetrics": (READER, {}),
    "Watch": (READER, {}),
    "GetServer": (READER, {}),
    "Record": (RECORDER, {"events": [{"experimentDeclared": {}}, {"skipped": {}}]}),
    "DeleteArm": (ADMIN, ARM),
    "DeleteExperiment": (ADMIN, {}),
    "WhoAmI": (READER, {}),
    "CreateToken": (ADMIN, {"name": "new", "role": "ROLE_READER"}),
    "ListTokens": (ADMIN, {}),
    "RevokeToken": (ADMIN, {"idOrName": "nobody"}),
}
"""The lowest role that may call each rpc, and a valid request except for the experiment."""
WITHOUT_NAME = {
    "ListExperiments",
    "GetServer",
    "WhoAmI",
    "CreateToken",
    "ListTokens",
    "RevokeToken",
}

STATES = ("none", "malformed", "unknown", "forged", "expired", "revoked", "good")
REASONS = {
    "none": "TOKEN_MISSING",
    **dict.fromkeys(["malformed", "unknown", "forged", "expired", "revoked"], "TOKEN_INVALID"),
}
PREFIXES: Mapping[tuple[str, ...], bool] = {
    (): True,
    ("team",): True,
    ("other", "team/x"): True,
    ("other",): False,
    ("tea", "team2", "team/x2", "team/x/y", "TEAM"): False,
}
"""Prefixes of a token, and whether they include `team/x`."""
EXISTING = ("other/x", "team/x", "team/x2", "team2")


class Case(NamedTuple):
    """A kind of token: its role, state and prefixes, and the header in which it is sent."""

    role: Role
    state: str
    prefixes: tuple[str, ...]
    header: str | None


def row(text: str, token_id: str, role: Role, prefixes: tuple[str, ...], **ends: Any) -> TokenRow:
    """Returns the store's row of a token that was created long ago."""
    return TokenRow(token_id, "t", digest_of(text), role, prefixes, created=1, **ends)


def made(url: str, case: Case) -> Case:
    """Makes the token of a case, and adds it to the store unless the server must not know it.

    Returns the case with the header in which the token is sent.
    """
    new, other = new_token(), new_token()
    ends: dict[str, int] = {}
    match case.state:
        case "none":
            return case
        case "malformed":
            return case._replace(header=f"Bearer {new.text[:-1]}")
        case "unknown":
            return case._replace(header=f"Bearer {new.text}")
        case "forged":
            add_token(url, row(other.text, new.id, case.role, case.prefixes))
            return case._replace(header=f"Bearer {new.text}")
        case "expired":
            ends = {"expires": time.time_ns() // 1000 - 1}
        case "revoked":
            ends = {"revoked": 2}
    add_token(url, row(new.text, new.id, case.role, case.prefixes, **ends))
    return case._replace(header=f"Bearer {new.text}")


class Store(NamedTuple):
    """A store with a token of every kind."""

    folder: Path
    admin: str
    cases: list[Case]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Returns a store with a token of every kind, which all tests of this module serve."""
    return new_store(tmp_path_factory.mktemp("store"))


def new_store(folder: Path) -> Store:
    """Creates a store in a folder, with a token of every kind."""
    url = store_url(folder)
    cases = [
        made(url, Case(role, state, prefixes, None))
        for role, state, prefixes in itertools.product(Role, STATES, PREFIXES)
    ]
    return Store(folder, tokens.create(url, "admin", "admin", (), None)[1], cases)


async def record(client: podium.AsyncClient) -> None:
    """Records the experiments in EXISTING, even after some of them were deleted."""
    for name in EXISTING:
        experiment = client.experiment(name)
        await experiment.declare()
        await experiment.record_arm(
            podium.ArmResult(
                "a",
                podium.RunConfig("a"),
                "completed",
                evals=[podium.EvalResult("val", metrics={"acc": 0.5})],
            )
        )


def request_of(rpc: MethodDescriptor, experiment: str) -> Message:
    """Returns a request of an rpc. It names the experiment if the rpc has such a field."""
    body = CASES[rpc.name][1]
    if rpc.name not in WITHOUT_NAME:
        body = {"experiment": experiment, **body}
    return ParseDict(body, GetMessageClass(rpc.input_type)())


class Answer(NamedTuple):
    """The result of a call: its code, and the reason and message of its error."""

    code: str
    reason: str
    text: str


async def ask(channel: grpc.aio.Channel, rpc: MethodDescriptor, case: Case, name: str) -> Answer:
    """Makes a call with the token of a case."""
    service, method = rpc.full_name.rsplit(".", 1)
    kind = channel.unary_stream if rpc.server_streaming else channel.unary_unary
    call: Any = kind(
        f"/{service}/{method}",
        request_serializer=type(request_of(rpc, name)).SerializeToString,
        response_deserializer=GetMessageClass(rpc.output_type).FromString,
    )
    metadata = () if case.header is None else (("authorization", case.header),)
    try:
        under_way = call(request_of(rpc, name), metadata=metadata, timeout=120)
        if rpc.server_streaming:
            await under_way.read()
            under_way.cancel()
        else:
            await under_way
    except grpc.aio.AioRpcError as error:
        found = from_rpc_error(error)
        return Answer(found.code, found.reason, found.message)
    return Answer("OK", "", "")


def expected(rpc: str, case: Case, *, exists: bool) -> tuple[str, str]:
    """Returns the code and reason that a call about `team/x` or a missing experiment must get."""
    if case.state != "good":
        return "UNAUTHENTICATED", REASONS[case.state]
    if case.role < CASES[rpc][0]:
        return "PERMISSION_DENIED", "ROLE_TOO_LOW"
    if rpc in WITHOUT_NAME:
        return "OK", ""
    is_shown = exists or (rpc == "Record" and not case.prefixes)
    if PREFIXES[case.prefixes] and is_shown:
        return "OK", ""
    return "NOT_FOUND", "EXPERIMENT_NOT_FOUND"


def names_of(rpc: str) -> Iterator[tuple[str, bool]]:
    """Yields each experiment that the rpc is called for, and whether it exists."""
    yield "team/x", True
    if rpc not in WITHOUT_NAME:
        yield "gone/x", False


@pytest.mark.parametrize("every", sparse([4, 1]), ids=["some", "all"])
@pytest.mark.parametrize("rpc", RPCS.values(), ids=lambda rpc: rpc.name)
async def test_every_rpc_for_every_token(
    rpc: MethodDescriptor, every: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each combination of role, state, prefixes and name gets the expected code and reason.

    For a name outside the prefixes, the error has the same text as for a name that does not exist.
    """
    # Half of the calls have invalid tokens. Their checks would otherwise wait for each other.
    monkeypatch.setattr(access_tokens, "_PAUSE_SECONDS", 0.0)
    async with (
        serving(store.folder, auth="tokens") as [address],
        podium.AsyncClient(address, token=store.admin, read_timeout=60) as admin,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await record(admin)
        first = list(RPCS).index(rpc.name) % every
        for case in store.cases[first::every]:
            texts = set()
            for name, exists in names_of(rpc.name):
                answer = await ask(channel, rpc, case, name)
                assert answer[:2] == expected(rpc.name, case, exists=exists), (case, name)
                if answer.code == "NOT_FOUND":
                    texts.add(answer.text.replace(name, "NAME"))
                if rpc.name in {"DeleteArm", "DeleteExperiment", "Record"} and answer.code == "OK":
                    await admin.experiment("gone/x").delete(allow_missing=True)
                    await record(admin)
            assert len(texts) <= 1


async def test_lists_show_what_the_token_includes(store: Store) -> None:
    """`experiments` lists exactly the names within the token's prefixes.

    This holds for pages of one row, and with a `name_prefix`.
    """
    shown = {
        (): list(EXISTING),
        ("team",): ["team/x", "team/x2"],
        ("other", "team/x"): ["other/x", "team/x"],
        ("other",): ["other/x"],
        ("tea", "team2", "team/x2", "team/x/y", "TEAM"): ["team/x2", "team2"],
    }
    async with (
        serving(store.folder, auth="tokens") as [address],
        podium.AsyncClient(address, token=store.admin) as admin,
    ):
        await record(admin)
        for case in store.cases:
            if case.state == "good" and case.header is not None:
                token = case.header.removeprefix("Bearer ")
                async with podium.AsyncClient(address, token=token) as client:
                    found = [each.name async for each in client.experiments(page_size=1)]
                    beginning = [
                        each.name async for each in client.experiments(name_prefix="team/")
                    ]
                assert found == shown[case.prefixes]
                assert beginning == [n for n in shown[case.prefixes] if n.startswith("team/")]


def test_every_rpc_has_a_case_and_a_rule() -> None:
    """Every rpc has a case in this file, and an access rule.

    `check_rules` raises RuleError for an rpc without a rule, and for a rule without an rpc.
    """
    assert CASES.keys() == RPCS.keys()
    ours = {name for name in RULES if name.startswith("podium.")}
    assert ours == {rpc.full_name for rpc in RPCS.values()}
    check_rules(RULES)
    with pytest.raises(RuleError, match=r"podium\.v1\.New\.Rpc"):
        check_rules([*RULES, "podium.v1.New.Rpc"])
    with pytest.raises(RuleError, match="rules of no method"):
        check_rules(set(RULES) - {"podium.v1.ResultsService.Eval"})


def test_a_rule_names_the_field_with_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`name_check` raises RuleError if a method has no rule, or its rule names no field."""
    method = RPCS["Eval"]
    monkeypatch.setitem(RULES, method.full_name, Rule(Role.READER))
    with pytest.raises(RuleError, match=r"\.Eval .* field None, .* in experiment;"):
        name_check(method)
    monkeypatch.delitem(RULES, method.full_name)
    with pytest.raises(RuleError, match=r"\.Eval has no access rule"):
        name_check(method)
