"""The limits and times that the documents state are those of the server."""

from pathlib import Path

from podium_server.api import pages, rankings, tokens, watch
from podium_server.errors import RETRY_SECONDS
from podium_server.rpc import admission, audit, reading
from podium_server.rpc.access import tokens as access
from podium_server.rpc.fronts.grpcio import server_options
from podium_server.serve.settings import Settings
from podium_server.store.sql import reads
from podium_server.store.sqlite import store

from tests.each import each

_DOCS = Path(__file__).parents[2] / "docs"
_MIB = 2**20
_DEFAULTS = Settings()
_ADMITTED = _DEFAULTS.admission
_GRPC = dict(server_options(_DEFAULTS.limits.message_bytes))
_TABLE = (
    ("| calls | {:,}, but each connection can always make at least", _ADMITTED.calls),
    ("but each connection can always make at least {} |", admission._CALLS_OF_EACH),
    ("| requests of which only a part has arrived | {},", _ADMITTED.incomplete_requests),
    ("of requests that have not been answered | {:g} MiB |", _ADMITTED.request_bytes / _MIB),
    ("responses that clients have not read | {:g} MiB |", _ADMITTED.response_bytes / _MIB),
    ("| watches | {} |", _ADMITTED.watches),
    ("| connections to each address | {:,};", _GRPC["grpc.max_allowed_incoming_connections"]),
    ("| calls of a connection | {:,};", _GRPC["grpc.max_concurrent_streams"]),
    ("and the server has not started | {:,};", _GRPC["grpc.server.max_pending_requests"]),
    ("two pings within {:g} s", _GRPC["grpc.http2.min_ping_interval_without_data_ms"] / 1000),
    ("the server's HTTP/2 settings within {:g} s", _GRPC["grpc.http2.settings_timeout"] / 1000),
    ("not answer a ping within {:g} s", _GRPC["grpc.keepalive_timeout_ms"] / 1000),
    ("is idle for {:g} minutes", _GRPC["grpc.max_connection_idle_ms"] / 60_000),
    ("is older than {:g} minutes", _GRPC["grpc.max_connection_age_ms"] / 60_000),
    ("then have another {:g} s to end", _GRPC["grpc.max_connection_age_grace_ms"] / 1000),
    ("asks clients to wait {:g} s.", RETRY_SECONDS),
    ("and after {:g} s at the latest", reading._READ_SECONDS),
    ("at most {} a minute", audit._REFUSALS),
    ("The call waits at most {:g} seconds for that", audit._SYNC_SECONDS),
    ("the file is larger than {:g} MiB", store._CHECKED_BYTES / _MIB),
    ("has a cache of {:g} MiB", _DEFAULTS.answer_cache_bytes / _MIB),
    ("caches the internal ids of {:,} arms", reads._PLACES_LIMIT),
    ("`--grace` seconds ({:g} by default)", _DEFAULTS.grace_seconds),
)
_OF_WATCHES = (
    ("reads no updates for {:g} s", _ADMITTED.write_seconds),
    ("allows at most {} watches", _ADMITTED.watches),
    ("repeats the marker every {:g} s", watch._HEARTBEAT_SECONDS),
    ("does not reach it within {:g} s", watch._AHEAD_SECONDS),
    ("one page of about {:g} KiB", watch._PAGE.size / 1024),
)
_OF_RPCS = (
    ("At most {} valid tokens can have the same name", tokens._MOST_OF_A_NAME),
    ("the most frequent one first; at most {} sources", rankings._SHOWN_SOURCES),
)
_FIGURES = {
    "server.md": _TABLE,
    "watching.md": _OF_WATCHES,
    "api.md": _OF_RPCS,
    "semantics.md": (("or 2 MiB; {} items by default", pages._DEFAULT_ROWS),),
}
"""For each document: sentences with a placeholder for a number, and this number."""


@each("document", _FIGURES)
def test_a_document_has_the_figures(document: str) -> None:
    """Each number of the code, such as a default limit, is in the document that describes it."""
    text = " ".join((_DOCS / document).read_text(encoding="utf-8").split())
    sentences = [sentence.format(figure) for sentence, figure in _FIGURES[document]]
    assert [sentence for sentence in sentences if sentence not in text] == []


def test_a_revoked_token_is_rejected_within_five_seconds() -> None:
    """Servers and watches check tokens again so often that a revoked one is rejected within 5 s."""
    longest = access._FRESH_SECONDS + watch._CHECK_SECONDS + access._PAUSE_SECONDS
    assert "It rejects a revoked token within 5 seconds." in (_DOCS / "security.md").read_text()
    assert longest < 5
