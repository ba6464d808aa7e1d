"""Asks the health service of a server whether it serves, for probes of containers.

The command needs no token. Exit code 0: the server serves; 1: it is stopping, or does
not answer. If the address names several servers, each is asked, and the exit code is 0
if at least one serves. While its database takes no writes, a server serves only reads,
and the output says so.

Example:
  podium health --address unix:/run/podium/podium.sock --timeout 5
"""

import argparse
import contextlib

import grpc

from podium._client.channel import channel_options, connection_failure
from podium._client.security import Security, tls_problem
from podium._values.address import server_address, server_addresses
from podium._wire.status import from_rpc_error
from podium.cli._console import Console
from podium.cli._exits import CommandError, Exit

__all__ = ["run_locally"]

_CHECK = "/grpc.health.v1.Health/Check"
_RECORDING = b"\n\x1apodium.v1.RecordingService"
"""The encoded request for the health of the service that writes."""
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""The encoded responses for a service that is served, and for one that is not."""
_SECONDS = 5.0


def run_locally(arguments: argparse.Namespace, console: Console) -> Exit:
    """Asks the health service once, and shows the answer."""
    try:
        addresses = server_addresses(server_address(arguments.address))
        seconds = arguments.timeout or _SECONDS
        serving = [_serves(address, seconds, console, len(addresses) > 1) for address in addresses]
    except ValueError as error:
        raise CommandError(str(error)) from error
    return Exit.OK if any(serving) else Exit.NOTHING


def _serves(address: str, seconds: float, console: Console, has_others: bool) -> bool:
    """Asks a server whether it serves, and shows and returns the answer.

    Raises:
        CommandError: The server does not answer, and there are no others.
    """
    is_recording = False
    try:
        is_serving = _ask(address, seconds) == _SERVING
        is_recording = is_serving and _takes_writes(address, seconds)
    except CommandError as error:
        if not has_others:
            raise
        console.note(str(error))
        is_serving = False
    if console.as_json:
        console.json({"address": address, "serving": is_serving, "recording": is_recording})
    else:
        reads = "" if is_recording or not is_serving else " reads, but takes no writes now"
        console.line(f"{address} {'serves' if is_serving else 'does not serve'}{reads}")
    return is_serving


def _takes_writes(address: str, seconds: float) -> bool:
    with contextlib.suppress(CommandError):
        return _ask(address, seconds, _RECORDING) != _NOT_SERVING
    return False


def _ask(address: str, seconds: float, request: bytes = b"") -> bytes:
    """Returns the encoded response of the health service, or raises a CommandError."""
    security = Security(address, None, None)
    credentials = security.channel_credentials()
    options = channel_options(address)
    channel = (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    )
    with channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_CHECK)
        try:
            return check(request, timeout=seconds)
        except grpc.RpcError as error:
            if request and error.code() is grpc.StatusCode.NOT_FOUND:
                return b""  # another server, such as a proxy
            why = from_rpc_error(error).message
            cause = connection_failure(why) or why
            text = (
                tls_problem(address, cause, security.tls) or f"{address} does not answer: {cause}"
            )
            raise CommandError(text, Exit.NOTHING) from error
