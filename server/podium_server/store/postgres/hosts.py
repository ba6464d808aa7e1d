"""Connects to the host of a cluster that takes writes, and notices hosts that disappear."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from podium_server.store.shown_url import shown_url

__all__ = ["connect", "has_hosts", "leaders", "notice_loss"]

_OPTIONS = {
    "TCP_KEEPIDLE": 2,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 5_000,
}
"""With these options, a connection is lost if its host confirms no packet for 5 seconds."""


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """Connects to the database of a URL.

    If the URL has several hosts, connects to all of them at the same time. So a host that does not
    answer causes no delay. Keeps the first connection to a host that takes writes. If the URL has
    `target_session_attrs`, keeps the first connection to a host that this parameter selects.
    """
    return await _first(_trials(url, options)) if has_hosts(url) else await _connect(url, options)


async def leaders(url: str, **options: Any) -> set[Any]:
    """Returns the hosts of a URL that `connect` could choose now."""
    trials = _trials(url, options)
    try:
        await asyncio.wait(trials)
    finally:
        _end(trials)
    return {trial.result().host for trial in trials if trial.exception() is None}


def has_hosts(url: str) -> bool:
    """Returns whether a URL has several hosts."""
    return len(_of_each_host(url)) > 1


def _trials(url: str, options: dict[str, Any]) -> list[asyncio.Task[Any]]:
    if "target_session_attrs" not in parse_qs(urlsplit(url).query):
        options["target_session_attrs"] = "read-write"
    return [asyncio.create_task(_connect(each, options)) for each in _of_each_host(url)]


async def _connect(url: str, options: dict[str, Any]) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(url, **options)
    except TimeoutError:
        # Callers would take a TimeoutError for an overloaded database.
        raise ConnectionError(f"{_host_of(url)} does not answer") from None
    except OSError as error:
        # Its text may be only "Connection refused", which does not say who refused it.
        reason = error.strerror or error
        raise ConnectionError(f"cannot connect to {_host_of(url)}: {reason}") from error


def _host_of(url: str) -> str:
    """Returns the host and the port of a URL with one host."""
    return urlsplit(shown_url(url)).netloc.rpartition("@")[2] or "the database"


def _of_each_host(url: str) -> list[str]:
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


async def _first(trials: Sequence[asyncio.Task[Any]]) -> Any:
    """Returns the first connection, and closes the others. Raises an error if all trials fail."""
    chosen = None
    waiting = set(trials)
    try:
        while waiting and chosen is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            chosen = next((trial for trial in done if trial.exception() is None), None)
    finally:
        _end(trial for trial in trials if trial is not chosen)
    return (chosen or min(trials, key=_is_replica)).result()


def _end(trials: Iterable[asyncio.Task[Any]]) -> None:
    for trial in trials:
        if not trial.cancel() and trial.exception() is None:
            trial.result().terminate()


def _is_replica(failed: asyncio.Task[Any]) -> bool:
    """Returns whether a trial failed because its host takes no writes.

    `_first` raises this error only if all trials failed with it.
    """
    return isinstance(failed.exception(), asyncpg.TargetServerAttributeNotMatched)


def notice_loss(transport: Any) -> None:
    """Makes the operating system close a connection whose host has disappeared."""
    connection = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        # Not every operating system has all of these options.
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
