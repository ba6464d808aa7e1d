"""Watches an experiment until it is deleted. If a call fails, the next call continues the watch."""

from collections.abc import AsyncIterator

from podium._client.aio.connection import AsyncConnection
from podium._client.watching import WatchSession
from podium._model.watching import WatchUpdate
from podium.errors import PodiumError, UnavailableError

__all__ = ["watch"]


async def watch(connection: AsyncConnection, session: WatchSession) -> AsyncIterator[WatchUpdate]:
    """Yields the updates of a watch. After a temporary failure, makes another call.

    Raises the error of any other failure.
    """
    while not session.is_stopped:
        try:
            async for response in connection.stream(session.request, session.begin):
                update = session.take(response)
                if update is not None:
                    yield update
                    if update.is_deleted:
                        return
            raise UnavailableError("the server has ended the watch")
        except PodiumError as error:
            if session.is_stopped:
                return
            if session.is_deletion(error):
                yield WatchUpdate()
                return
            await connection.pause(session, session.pause(error))
