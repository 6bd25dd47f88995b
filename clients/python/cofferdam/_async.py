"""The client for asyncio."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from datetime import timedelta
from http.client import parse_headers
from io import BytesIO

from . import _core as core
from ._core import CleanedUp, MessageState, Request, Result, StorageError, T, ThreadOwnership


class AsyncClient(core.Base[tuple[StreamReader, StreamWriter]]):
    """The eleven operations, for any number of tasks of one event loop. `timeout` is in seconds, and includes all attempts."""

    async def initialize(self, *, timeout: float | None = None) -> None:
        """Opens the client. Until it has succeeded, the other operations fail with not-initialized."""
        await self._call(core.INITIALIZE, timeout)
        self._open = True

    async def close(self, *, timeout: float | None = None) -> None:
        """Waits until the database has what the server has accepted, and closes the client, not the server's storage."""
        if self._open:
            self._open = False
            try:
                await self._call(core.CLOSE, timeout)
            finally:
                while connection := self._rest():
                    connection[1].close()

    async def health_check(self, *, timeout: float | None = None) -> None:
        """Checks the server and its database as they are now: it is not retried."""
        await self._call(core.HEALTH, timeout)

    async def get_message_state(
        self, channel_id: str, thread_id: str | None = None, *, timeout: float | None = None
    ) -> MessageState | None:
        """The state of exactly this channel and thread, if there is one."""
        return await self._call(core.get_message_state(channel_id, thread_id), timeout)

    async def upsert_message_state(self, state: MessageState, *, timeout: float | None = None) -> Result:
        """Inserts or updates a state; the last write to arrive wins. A created_at of 0 means now."""
        return await self._call(core.upsert_message_state(state), timeout)

    async def get_all_message_states(self, *, timeout: float | None = None) -> list[MessageState]:
        """All states, the newest first."""
        return await self._call(core.get_message_states(), timeout)

    async def get_message_states_within_window(
        self, window: timedelta, *, timeout: float | None = None
    ) -> list[MessageState]:
        """The states last seen since floor(now - window), the newest first."""
        return await self._call(core.get_message_states(window), timeout)

    async def get_thread_ownership(self, thread_id: str, *, timeout: float | None = None) -> ThreadOwnership | None:
        """The ownership of this thread, if there is one."""
        return await self._call(core.get_thread_ownership(thread_id), timeout)

    async def upsert_thread_ownership(self, ownership: ThreadOwnership, *, timeout: float | None = None) -> Result:
        """Inserts or updates an ownership; the last write to arrive wins."""
        return await self._call(core.upsert_thread_ownership(ownership), timeout)

    async def get_all_thread_ownerships(self, *, timeout: float | None = None) -> list[ThreadOwnership]:
        """All ownerships, the newest first."""
        return await self._call(core.get_all_thread_ownerships(), timeout)

    async def cleanup_old_thread_ownerships(self, max_age: timedelta, *, timeout: float | None = None) -> CleanedUp:
        """Removes the ownerships that were created longer ago than this; 0 is invalid-input."""
        return await self._call(core.cleanup_old_thread_ownerships(max_age), timeout)

    async def _call(self, request: Request[T], timeout: float | None) -> T:
        patience = self._patience(request, timeout)
        while True:
            try:
                return request.answer(*await self._exchange(request, patience.left()))
            except StorageError as error:
                await asyncio.sleep(patience.wait(error))

    async def _exchange(self, request: Request[T], left: float) -> tuple[int, str | None, bytes]:
        try:
            return await asyncio.wait_for(self._converse(request, left), left)
        except asyncio.TimeoutError as error:
            raise core.no_answer() from error

    async def _converse(self, request: Request[T], left: float) -> tuple[int, str | None, bytes]:
        idle, body = self._rest(), request.body or b""
        lines = [f"{request.method} {request.path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self._headers(left).items()]
        message = "\r\n".join([*lines, "", ""]).encode() + body
        try:
            reader, writer = idle or await self._connect()
            try:
                writer.write(message)
                await writer.drain()
                status, headers = await reader.readline(), await reader.readuntil(b"\r\n\r\n")
                fields = parse_headers(BytesIO(headers))
                # Each answer of the server has its length.
                text = await reader.readexactly(int(fields["Content-Length"]))
            except BaseException:
                writer.close()
                raise
        except (OSError, EOFError, TypeError, ValueError) as error:
            if idle is None:
                raise core.unavailable(error) from error
            # The server has closed it while it was at rest.
            return await self._converse(request, left)
        if fields.get("Connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(status.split()[1]), fields["Retry-After"], text

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        return await (asyncio.open_unix_connection(self._unix) if self._unix else asyncio.open_connection(*self._tcp))
