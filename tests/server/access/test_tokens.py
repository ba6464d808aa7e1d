"""Tests of tokens: how clients send them, how servers check them, and how they end."""

import asyncio
import itertools
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import podium
import pytest
from podium._values.tokens import new_token, token_id
from podium.cli import main
from podium_server.api import watch
from podium_server.serve import tokens
from podium_server.serve.addresses import check_addresses
from podium_server.serve.settings import Auth, ConfigError, ServerTLS, Settings

from tests.each import each
from tests.server.access.certificates import Authority
from tests.server.access.serving import serving
from tests.stores import store_url

_SECONDS = 120.0
"""The longest wait for a change to take effect. It usually takes two seconds."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Returns the URL of the store that `serving` serves."""
    return store_url(tmp_path)


async def _token(url: str) -> str:
    return (await asyncio.to_thread(tokens.create, url, "t", "recorder", (), None))[1]


async def _until_refused(client: podium.AsyncClient) -> str:
    """Makes calls until one is rejected. Returns the message of its error."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        try:
            await client.experiment("x").declare()
        except podium.UnauthenticatedError as error:
            return error.message
        await asyncio.sleep(0.01)
    raise AssertionError("the token was never refused")


async def test_both_clients_send_the_token(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients take the token from an argument, PODIUM_TOKEN or the file PODIUM_TOKEN_FILE."""
    token, path = await _token(url), tmp_path / "token"
    path.write_text(f"{token}\n")

    def declare(**settings: str) -> int:
        with podium.Client(address, **settings) as client:  # type: ignore[arg-type]
            return client.experiment("x").declare().revision

    async with serving(tmp_path, auth="tokens") as [address]:
        with pytest.raises(podium.UnauthenticatedError) as caught:
            await asyncio.to_thread(declare)
        assert caught.value.reason == "TOKEN_MISSING"
        assert await asyncio.to_thread(declare, token=token) == 1
        async with podium.AsyncClient(address, token=path) as client:
            assert (await client.experiment("x").declare()).revision == 1
        for name, value in (("PODIUM_TOKEN", f" {token}\n"), ("PODIUM_TOKEN_FILE", str(path))):
            with monkeypatch.context() as patch:
                patch.setenv(name, value)
                assert await asyncio.to_thread(declare) == 1


@pytest.mark.slow
async def test_watches_send_the_token(url: str, tmp_path: Path) -> None:
    """Watches and followed experiments send the token. If it is replaced, they use the new one."""
    path = tmp_path / "token"
    path.write_text(await _token(url))

    def watch_once() -> int:
        with podium.Client(address, token=path) as client:
            marker = next(client.experiment("x").watch()).marker
            with client.experiment("x").follow() as live:
                assert marker is not None
                assert live.revision == marker.revision
                return live.revision

    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=path) as client,
    ):
        experiment = client.experiment("x")
        await experiment.declare()
        assert await asyncio.to_thread(watch_once) == 1
        async with asyncio.timeout(_SECONDS), experiment.follow() as live:
            before = token_id(path.read_text())
            path.write_text(await _token(url))
            await asyncio.to_thread(tokens.LocalTokens(url).revoke_token, before)
            run = await experiment.start_arm(podium.RunConfig("a"))
            for number in range(40):
                await run.log({"loss": number})
                await asyncio.sleep(0.1)
            await live.wait_until(lambda state: state.arm("a").score("loss") == number)


async def test_a_rotation_fails_no_call(url: str, tmp_path: Path) -> None:
    """If the token in a client's file is replaced and then revoked, no call fails."""
    path = tmp_path / "token"
    path.write_text(await _token(url))
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=path, retry=False) as client,
    ):
        await client.experiment("x").declare()
        before = token_id(path.read_text())
        staged = tmp_path / "new"
        staged.write_text(await _token(url))
        staged.replace(path)
        await client.experiment("x").declare()
        assert [
            row.id for row in await asyncio.to_thread(tokens.LocalTokens(url).revoke_token, before)
        ] == [before]
        async with podium.AsyncClient(address, token=path) as other:
            await other.experiment("x").declare()
        await client.experiment("x").declare()


async def test_a_revoked_token_is_rejected_soon(url: str, tmp_path: Path) -> None:
    """If a token is revoked in the store, a running server soon rejects calls with it."""
    token = await _token(url)
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=token) as client,
    ):
        await client.experiment("x").declare()
        await asyncio.to_thread(tokens.LocalTokens(url).revoke_token, "t")
        assert "was revoked" in await _until_refused(client)


@pytest.mark.slow
async def test_a_watch_ends_with_its_token(url: str, tmp_path: Path) -> None:
    """If the token of a busy watch is revoked, the watch ends with UNAUTHENTICATED."""
    token, other = await _token(url), await _token(url)
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=other) as client,
        grpc.aio.insecure_channel(address) as channel,
    ):
        await client.experiment("x").declare()
        run = await client.experiment("x").start_arm(podium.RunConfig("a"))
        watch_stream: Any = channel.unary_stream("/podium.v1.ResultsService/Watch")
        call = watch_stream(b"\n\x01x", metadata=(("authorization", f"Bearer {token}"),))

        async def change() -> None:
            for number in itertools.count():
                await run.log({"loss": number})
                await asyncio.sleep(0.01)  # or it keeps a processor busy until the token is checked

        async def read_all() -> None:
            async with asyncio.timeout(_SECONDS):
                while True:
                    await call.read()

        assert await call.read()
        await asyncio.to_thread(tokens.LocalTokens(url).revoke_token, token_id(token))
        changing = asyncio.create_task(change())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_all()
        changing.cancel()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_idle_watch_ends_with_its_token(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its token is revoked, even a watch without messages and heartbeats ends."""
    monkeypatch.setattr(watch, "_HEARTBEAT_SECONDS", 1e6)
    monkeypatch.setattr(watch, "_CHECK_SECONDS", 0.05)
    token = await _token(url)
    async with (
        serving(tmp_path, auth="tokens") as [address],
        podium.AsyncClient(address, token=token) as client,
    ):
        await client.experiment("x").declare()
        updates = client.experiment("x").watch()
        await anext(updates)
        await asyncio.to_thread(tokens.LocalTokens(url).revoke_token, "t")
        with pytest.raises(podium.UnauthenticatedError, match="was revoked"):
            async with asyncio.timeout(_SECONDS):
                await anext(updates)


async def test_a_new_token_is_accepted_by_a_running_server(url: str, tmp_path: Path) -> None:
    """Two tokens that are created after the server's start are accepted at their first calls."""
    async with serving(tmp_path, auth="tokens") as [address]:
        for number in (1, 2):
            async with podium.AsyncClient(address, token=await _token(url)) as client:
                assert (await client.experiment(f"x{number}").declare()).revision == 1


async def test_a_store_with_tokens_is_never_served_without(url: str, tmp_path: Path) -> None:
    """If the store has tokens, the server requires them from its next start on.

    `auth="none"` turns them off. `insecure` alone does not: the server then refuses to start.
    """
    async with serving(tmp_path) as [address], podium.AsyncClient(address) as client:
        await client.experiment("x").declare()
    await _token(url)
    async with serving(tmp_path) as [address], podium.AsyncClient(address) as client:
        with pytest.raises(podium.UnauthenticatedError, match="this server requires a token"):
            await client.experiment("x").declare()
    async with serving(tmp_path, auth="none") as [address], podium.AsyncClient(address) as client:
        await client.experiment("x").declare()
    with pytest.raises(ConfigError, match="the store has tokens, but --insecure turns tokens off"):
        async with serving(tmp_path, "0.0.0.0:0", insecure=True):
            pass


async def test_no_token_is_sent_or_accepted_over_plaintext(url: str, tmp_path: Path) -> None:
    """Over a network, a token is neither sent nor accepted without encryption."""
    token = await _token(url)
    async with podium.AsyncClient("192.0.2.1:50051", token=token) as client:
        with pytest.raises(podium.UnauthenticatedError, match=r"is not sent to .* without"):
            await client.experiment("x").get()
    settings = {"insecure": True, "auth": "none"}
    async with serving(tmp_path, "0.0.0.0:0", **settings) as [address]:
        local = address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - compared only
        async with podium.AsyncClient(local, token=token) as client:
            with pytest.raises(podium.UnauthenticatedError, match="needs tokens: unset"):
                await client.experiment("x").get()


@each(
    ("auth", "insecure", "encrypted", "error"),
    [
        (None, False, False, "give --tls-cert"),
        ("tokens", False, False, "give --tls-cert"),
        ("tokens", True, False, "tokens are never accepted there without"),
        ("none", False, True, "leave out --auth none"),
        ("none", True, True, None),
        ("none", True, False, None),
        ("tokens", False, True, None),
        (None, False, True, None),
    ],
)
def test_what_an_address_that_others_can_reach_needs(
    auth: Auth | None, insecure: bool, encrypted: bool, error: str | None
) -> None:
    """An address that others can reach needs TLS and tokens, or --insecure without tokens."""
    tls = ServerTLS(Path("c"), Path("k")) if encrypted else None
    settings = Settings(listen=("0.0.0.0:0",), auth=auth, insecure=insecure, tls=tls)
    if error is None:
        assert check_addresses(settings)
    else:
        with pytest.raises(ConfigError, match=error):
            check_addresses(settings)


async def test_a_certificate_stands_for_a_token(
    authority: Authority, server_files: tuple[Path, Path], url: str, tmp_path: Path
) -> None:
    """A certificate stands for a token only if its name is `podium-token:`, then the token's id."""
    found = (await asyncio.to_thread(tokens.create, url, "t", "reader", ("team",), None))[0]
    tls = ServerTLS(*server_files, authority.cert)
    async with serving(tmp_path, tls=tls, auth="tokens") as [address]:
        for name, expected in (
            (f"URI:podium-token:{found.id}", podium.NotFoundError),
            (f"URI:podium-token:{found.id}x", podium.UnauthenticatedError),
            (f"DNS:{found.id}", podium.UnauthenticatedError),
        ):
            files = authority.issue("client", name)
            async with podium.AsyncClient(
                address, tls=podium.TLS(authority.cert, *files)
            ) as client:
                with pytest.raises(expected):
                    await client.experiment("team/x").get()


@pytest.mark.parametrize(
    "headers",
    [
        ["Bearer {0}", "Bearer {0}"],
        ["{0}"],
        ["Basic {0}"],
        ["Bearer {0} {0}"],
        ["Bearer  {0}"],
        [""],
    ],
)
async def test_odd_headers_are_rejected(headers: list[str], url: str, tmp_path: Path) -> None:
    """A call is rejected unless it has exactly one header of the form `Bearer TOKEN`."""
    token = await _token(url)
    metadata = tuple(("authorization", each.format(token)) for each in headers)
    async with (
        serving(tmp_path, auth="tokens") as [address],
        grpc.aio.insecure_channel(address) as channel,
    ):
        call: Any = channel.unary_unary("/podium.v1.ResultsService/GetServer")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=metadata, timeout=120)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert token[-20:] not in str(caught.value)


def test_no_repr_pickle_or_error_has_the_token(tmp_path: Path) -> None:
    """A token is neither in the `repr` or pickle of a client, nor in an error."""
    token, path = new_token().text, tmp_path / "token"
    path.write_text(token)
    client = podium.Client("localhost:1", token=token)
    assert token[-20:] not in repr(client)
    with pytest.raises(podium.ClientStateError) as caught:
        pickle.dumps(client)
    assert token[-20:] not in str(caught.value)
    from_file = pickle.dumps(podium.Client("localhost:1", token=path))
    assert token[-20:].encode() not in from_file
    with pytest.raises(ValueError, match="wrong checksum") as malformed:
        podium.Client("localhost:1", token=token[:-1] + ("a" if token[-1] != "a" else "b"))
    assert token[20:] not in str(malformed.value)


def test_a_token_file_that_cannot_be_used(tmp_path: Path) -> None:
    """If the token file is missing or malformed, a call fails. The next call reads it again."""
    path = tmp_path / "token"
    with podium.Client("localhost:1", token=path, connect_timeout=0.01, retry=False) as client:
        with pytest.raises(
            podium.UnauthenticatedError, match=r"of the argument token cannot be read: No"
        ):
            client.experiment("x").get()
        path.write_text("secret")
        with pytest.raises(
            podium.UnauthenticatedError, match="it must have the form pdm_ID_SECRET"
        ):
            client.experiment("x").get()
        path.write_text(new_token().text)
        with pytest.raises(podium.UnavailableError):
            client.experiment("x").get()


def test_tokens_differ_and_hold_their_id() -> None:
    """New tokens differ, contain their id, and have 51 characters."""
    made = [new_token() for _ in range(100)]
    assert len({token.text for token in made}) == 100
    for token in made:
        assert token_id(token.text) == token.id
        assert token.text.startswith(f"pdm_{token.id}_")
        assert len(token.text) == 51


def test_the_store_before_the_action(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`podium token` accepts --store before and after the action."""
    assert main(["token", "--store", url, "create", "ann", "--role", "reader"]) == 0
    capsys.readouterr()
    assert main(["token", "--store", url, "list"]) == 0
    before = capsys.readouterr().out
    assert main(["token", "list", "--store", url]) == 0
    assert "ann" in before
    assert capsys.readouterr().out == before


@pytest.fixture
def command(url: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Returns a function that runs `podium token` and returns its output lines and exit code."""

    def run(*arguments: str) -> list[str]:
        code = main(["token", *arguments, "--store", url])
        return [*capsys.readouterr().out.splitlines(), str(code)]

    return run


def test_the_command(command: Callable[..., list[str]], tmp_path: Path) -> None:
    """`podium token` creates, lists and revokes tokens. The list contains no secrets."""
    audit = tmp_path / "audit.jsonl"
    token, code = command(
        "create", "trainers", "--role", "recorder", "--prefix", "nlp", "--prefix", "cv"
    )
    assert code == "0"
    key = token_id(token)
    limit = ("--limit", "watches=3")
    command("create", "trainers", "--role", "admin", "--expires-in", "90d", *limit)
    header, *lines, _ = command("list")
    columns = "ID NAME ROLE PREFIXES LIMITS ROWS CREATED STATE"
    assert " ".join(header.split()) == columns
    first, second = sorted(lines, key=lambda line: not line.startswith(key))
    assert first.split()[:5] == [key, "trainers", "recorder", "nlp", "cv"]
    assert first.endswith("  valid")
    assert "(all)" in second
    assert "watches=3" in second
    assert "valid until" in second
    assert token[-20:] not in "".join(lines)
    assert command("revoke", key) == [f"{key} (trainers) is revoked", "0"]
    assert command("revoke", key, "--audit", str(audit)) == ["1"]
    assert f'"id_or_name": "{key}"' in audit.read_text()
    assert len(command("revoke", "trainers")) == 2
    assert command("create", "x", "--role", "reader", "--prefix", "a//b") == ["2"]
    assert command("create", "x", "--role", "reader", "--expires-in", "0d") == ["2"]
    for number in ("0", str(2**63), "9" * 5000):
        assert command("create", "x", "--role", "reader", "--limit", f"watches={number}") == ["2"]
