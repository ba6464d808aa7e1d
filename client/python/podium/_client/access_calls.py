"""Makes the requests of the AccessService, without I/O. See `podium._client.calls`."""

from datetime import datetime

from podium._client.calls import Pages, Requests
from podium._limits.limits import DEFAULT_LIMITS
from podium._model.access import IssuedToken, Token, TokenLimits
from podium._values import coerce
from podium._values.arguments import Strings
from podium._wire.listings import TOKEN, TOKEN_LIMITS
from podium._wire.values import ROLE, get, maybe, timestamp_to_proto
from podium.v1 import access_service_pb2 as access

__all__ = ["create_token", "revoke_token", "tokens", "whoami"]


def whoami() -> Requests[Token | None]:
    """Calls WhoAmI. Returns the caller's token, or None if the server requires no tokens."""
    response = yield access.WhoAmIRequest()
    return maybe(TOKEN.from_proto, get(response, "token"))


def create_token(
    name: str,
    role: str,
    prefixes: Strings,
    expire_time: datetime | None,
    limits: TokenLimits | None,
) -> Requests[IssuedToken]:
    """Calls CreateToken. Returns the new token with its secret."""
    response = yield access.CreateTokenRequest(
        name=coerce.text(name, "name"),
        role=ROLE.to_proto(role),
        prefixes=coerce.texts(prefixes, "prefixes"),
        expire_time=maybe(timestamp_to_proto, expire_time),
        limits=maybe(TOKEN_LIMITS.to_proto, limits),
    )
    return IssuedToken(TOKEN.from_proto(response.token), response.secret)


def tokens() -> Pages[Token]:
    """Calls ListTokens. Returns the pages of tokens."""
    request = access.ListTokensRequest(page_size=DEFAULT_LIMITS.page_rows)
    return Pages(request, "tokens", TOKEN.from_proto)


def revoke_token(id_or_name: str) -> Requests[list[Token]]:
    """Calls RevokeToken. Returns the tokens that it has revoked."""
    response = yield access.RevokeTokenRequest(id_or_name=coerce.text(id_or_name, "id_or_name"))
    return [TOKEN.from_proto(token) for token in response.tokens]
