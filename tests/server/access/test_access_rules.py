"""Tests of access control without a server: tokens, quotas, certificates and revocations."""

import time
from pathlib import Path

import pytest
from podium._limits.limits import Limits
from podium._model.access import TokenLimits
from podium._values.tokens import new_token, token_id
from podium.errors import InvalidArgumentError, PermissionDeniedError, UnauthenticatedError
from podium.v1.access_service_pb2 import CreateTokenRequest
from podium.v1.token_pb2 import ROLE_READER
from podium.v1.token_pb2 import TokenLimits as TokenLimitsMessage
from podium_server.api import watch
from podium_server.api.callers import CALLER, Caller
from podium_server.api.quotas import Quotas
from podium_server.api.tokens import Tokens, new_row
from podium_server.rpc.access import tokens as access_tokens
from podium_server.rpc.access.rules import RULES
from podium_server.rpc.access.tokens import Access
from podium_server.store.open import open_store
from podium_server.store.tokens import Role, TokenRow, digest_of

from tests.stores import store_url

_EVAL = "podium.v1.ResultsService.Eval"
_PUBLIC = [method for method, rule in RULES.items() if rule.role is None]


async def _no_tokens() -> list[TokenRow]:
    return []


@pytest.mark.parametrize("is_on", [True, False])
async def test_public_methods_use_no_quota(*, is_on: bool) -> None:
    """Methods that never need a token, such as health checks, are not limited by quotas."""
    assert len(_PUBLIC) == 5
    total = TokenLimits(calls=1, calls_per_second=1)
    access = Access(_no_tokens, is_on=is_on, quotas=Quotas(total=total))
    for method in _PUBLIC * 3:
        await access.enter(method, list)


@pytest.mark.parametrize("is_exposed", [True, False])
async def test_a_token_that_is_not_needed(*, is_exposed: bool) -> None:
    """A server that needs no tokens ignores a token that a client sends.

    If calls can arrive unencrypted over a network, the server rejects the call, since others may
    have read the token.
    """
    access = Access(_no_tokens, is_on=False, is_exposed=is_exposed)
    await access.enter(_EVAL, list)
    call = access.enter(_EVAL, lambda: ["Bearer x"])
    if not is_exposed:
        await call
        return
    with pytest.raises(UnauthenticatedError, match="others may have read it"):
        await call


async def test_a_method_without_a_rule_is_denied() -> None:
    """A call of a method without an access rule is denied before its caller's token is checked."""
    with pytest.raises(PermissionDeniedError, match=r"no role may call podium\.v1\.New\.Rpc"):
        await Access(_no_tokens, is_on=True).enter("podium.v1.New.Rpc", list)


async def test_a_revocation_counts_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seconds after a token is revoked, calls with it and the checks of watches fail."""
    key, text = new_token()
    rows = [TokenRow(key, "t", digest_of(text), Role.READER, (), 0)]

    async def read() -> list[TokenRow]:
        return rows

    async def enter() -> None:
        await access.enter(_EVAL, lambda: [f"Bearer {text}"])

    access, clock = Access(read, is_on=True), time.monotonic
    await enter()
    caller = CALLER.get()
    rows = [TokenRow(key, "t", digest_of(text), Role.READER, (), 0, revoked=1)]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 5.0)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await enter()
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await caller.check_again()
    assert watch._CHECK_SECONDS + access_tokens._FRESH_SECONDS <= 5.0


async def test_a_certificate_counts_only_without_a_header() -> None:
    """A client's certificate is ignored if the call has a token in its header.

    Even if the token in the header is malformed, the certificate is not used.
    """
    made = {role: new_token() for role in (Role.READER, Role.RECORDER)}
    rows = [TokenRow(key, "t", digest_of(text), role, (), 0) for role, (key, text) in made.items()]

    async def read() -> list[TokenRow]:
        return rows

    access = Access(read, is_on=True)
    names = [b"DNS:proxy", f"podium-token:{made[Role.RECORDER].id}".encode()]
    header = f"Bearer {made[Role.READER].text}"
    for given, role in ([header], Role.READER), ([], Role.RECORDER):
        await access.enter(_EVAL, lambda given=given: given, lambda: names)  # type: ignore[misc]
        found = CALLER.get().token
        assert found is not None
        assert found.role is role
    with pytest.raises(UnauthenticatedError, match="is malformed"):
        await access.enter(_EVAL, lambda: ["Bearer x"], lambda: names)


async def test_the_bounds_of_new_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CreateToken rejects a limit of 0.

    It also rejects a further token if the store already has the maximum number of tokens.
    """
    monkeypatch.setattr("podium_server.api.tokens._MOST_TOKENS", 2)
    CALLER.set(Caller(new_row("admin", Role.ADMIN, (), None)[0]))
    store = await open_store(store_url(tmp_path), on_broken=lambda: None)
    tokens = Tokens(store, Limits())
    zero = TokenLimitsMessage(watches=0)
    with pytest.raises(InvalidArgumentError, match=r"limits\.watches is 0; give a number from 1"):
        await tokens.create_token(CreateTokenRequest(name="t", role=ROLE_READER, limits=zero))
    for name in "ab":
        issued = await tokens.create_token(CreateTokenRequest(name=name, role=ROLE_READER))
        assert token_id(issued.secret) == issued.token.id
    with pytest.raises(InvalidArgumentError, match="the store has 3 tokens; at most 2") as raised:
        await tokens.create_token(CreateTokenRequest(name="c", role=ROLE_READER))
    assert raised.value.metadata["field"] == "name"
    await store.close()
