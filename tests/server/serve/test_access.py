"""Tests of the start of a server: the need for tokens, warnings, and the use of its settings."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from podium._limits.limits import Limits
from podium._model.access import TokenLimits
from podium_server.api.quotas import Quotas
from podium_server.api.recording import Recording
from podium_server.api.results import Results
from podium_server.api.tokens import Tokens
from podium_server.rpc.access.rules import RULES, RuleError
from podium_server.rpc.admission import Admission, AdmissionLimits
from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.rpc.telemetry import Telemetry
from podium_server.serve import fronts, server
from podium_server.serve.addresses import Reach, check_addresses, needs_tokens
from podium_server.serve.settings import ConfigError, ServerTLS, Settings

from tests.server.access.serving import serving

_HERE, _EVERYWHERE = "127.0.0.1:0", "0.0.0.0:0"
_TLS = ServerTLS(Path("cert.pem"), Path("key.pem"))


class _Store:
    """A store that has some tokens."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def tokens(self) -> list[object]:
        """Returns the tokens."""
        return [object()] * self._count


def _expected(settings: Settings, *, is_reachable: bool, has_tokens: bool) -> bool | None:
    """Returns whether calls need tokens, or None if the server must not start."""
    if settings.auth is not None:
        return settings.auth == "tokens"
    if settings.insecure and is_reachable:
        return None if has_tokens else False
    return is_reachable or has_tokens


@pytest.mark.parametrize(
    ("insecure", "auth", "is_reachable", "has_tokens"),
    [*itertools.product((False, True), (None, "tokens", "none"), (False, True), (False, True))],
)
async def test_who_needs_a_token(
    *, insecure: bool, auth: Any, is_reachable: bool, has_tokens: bool
) -> None:
    """Without `--auth`, calls need tokens if the store has tokens, or if other machines can call.

    With `--insecure`, a server that other machines can call requires no tokens. If its store has
    tokens, this server does not start. If `--auth` is given, it alone decides.
    """
    settings = Settings(insecure=insecure, auth=auth)
    expected = _expected(settings, is_reachable=is_reachable, has_tokens=has_tokens)
    store: Any = _Store(int(has_tokens))
    try:
        found = await needs_tokens(settings, store, Reach(is_reachable, is_reachable))
    except ConfigError:
        assert expected is None
    else:
        assert found is expected


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        (Settings(listen=(_HERE,), insecure=True), False),
        (Settings(listen=(_HERE, _EVERYWHERE), insecure=True), True),
        (Settings(listen=(_HERE,), http=(_EVERYWHERE,), insecure=True), True),
        (Settings(listen=(_EVERYWHERE,), insecure=True, auth="none"), True),
        (Settings(listen=(_EVERYWHERE,), insecure=True, tls=_TLS), True),
        (Settings(listen=(_EVERYWHERE,), insecure=True, tls=_TLS, auth="tokens"), False),
        (Settings(listen=(_EVERYWHERE,), tls=_TLS), False),
    ],
)
def test_a_server_warns_if_others_can_change_results(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    *,
    warns: bool,
) -> None:
    """A server that other machines can use without a token logs a warning, even with TLS."""
    check_addresses(settings)
    assert len(caplog.messages) == warns
    assert all("they can read and change every result" in text for text in caplog.messages)


async def test_the_warning_about_missing_tokens_has_no_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning about missing tokens names the store, but not the password in its URL."""
    settings = Settings(store="postgresql://podium:secret@db.example/podium", auth="tokens")
    store: Any = _Store(0)
    caplog.set_level(logging.WARNING)
    await server._access(store, settings, Reach(is_reachable=False, is_exposed=False), Quotas())
    assert ["db.example" in text for text in caplog.messages] == [True]
    assert "secret" not in caplog.text


async def test_limits_reach_the_admission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Admission` gets the total limits of calls and watches, and the maximum request size."""
    seen: list[AdmissionLimits] = []

    class Noted(Admission):
        """Keeps its limits in `seen`."""

        def __init__(self, limits: AdmissionLimits) -> None:
            seen.append(limits)
            super().__init__(limits)

    monkeypatch.setattr(server, "Admission", Noted)
    total = TokenLimits(calls=7, watches=3, calls_per_second=9, stored_rows=8)
    limits = Limits(message_bytes=5_000)
    async with serving(tmp_path, total_limits=total, limits=limits):
        assert seen == [AdmissionLimits(calls=7, watches=3, message_bytes=5_000)]


async def test_settings_reach_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each service gets the limits in the settings. `Results` also gets the size of its cache."""
    seen: dict[str, tuple[Any, ...]] = {}

    def noting(kind: Callable[..., Any]) -> Callable[..., Any]:
        def make(store: object, *settings: Any) -> Any:
            seen[kind.__name__] = settings
            return kind(store, *settings)

        return make

    for kind in (Results, Recording, Tokens):
        monkeypatch.setattr(server, kind.__name__, noting(kind))
    limits = Limits(message_bytes=5_000)
    async with serving(tmp_path, limits=limits, answer_cache_bytes=7):
        assert seen == {"Results": (limits, 7), "Recording": (limits,), "Tokens": (limits,)}


async def test_a_front_that_fails_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a front calls `on_failed`, the server sets its `broken` event.

    The front also gets the maximum size of a request.
    """
    given: dict[str, Any] = {}

    class Noted(GrpcioFront):
        """Keeps its options in `given`."""

        def __init__(self, *services: Any, **options: Any) -> None:
            given.update(options)
            super().__init__(*services, **options)

    monkeypatch.setattr(fronts, "front_of", lambda _name: Noted)
    settings = Settings(
        listen=(_HERE,), store=f"sqlite:///{tmp_path}/p.db", limits=Limits(message_bytes=5_000)
    )
    broken = asyncio.Event()
    async with server.running(settings, broken):
        assert given["message_bytes"] == 5_000
        assert not broken.is_set()
        given["on_failed"]()
        assert broken.is_set()


async def test_a_method_without_a_rule_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server does not start if a method has no access rule, even one of the health service."""
    monkeypatch.delitem(RULES, "grpc.health.v1.Health.Check")
    with pytest.raises(RuleError, match=r"grpc\.health\.v1\.Health\.Check"):
        async with serving(tmp_path):
            pass


async def test_streams_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Telemetry` gets the names of methods that it does not time: exactly the Watch methods."""
    streams: list[str] = []

    class Noted(Telemetry):
        """Adds to `streams` the names of the methods that are not timed."""

        def __init__(self, gauges: Any, audit: Any, names: Iterable[str], *rest: Any) -> None:
            streams.extend(names)
            super().__init__(gauges, audit, streams, *rest)

    monkeypatch.setattr(server, "Telemetry", Noted)
    async with serving(tmp_path):
        assert {*streams} == {"podium.v1.ResultsService.Watch", "grpc.health.v1.Health.Watch"}
