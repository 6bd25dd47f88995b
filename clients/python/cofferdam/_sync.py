"""The client for threads."""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from http.client import HTTPConnection, HTTPException

from . import _core as core
from ._core import CleanedUp, MessageState, Request, Result, StorageError, T, ThreadOwnership


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client(core.Base[HTTPConnection]):
    """The eleven operations, for any number of threads. `timeout` is in seconds, and includes all attempts."""

    def initialize(self, *, timeout: float | None = None) -> None:
        """Opens the client. Until it has succeeded, the other operations fail with not-initialized."""
        self._call(core.INITIALIZE, timeout)
        self._open = True

    def close(self, *, timeout: float | None = None) -> None:
        """Waits until the database has what the server has accepted, and closes the client, not the server's storage."""
        if self._open:
            self._open = False
            try:
                self._call(core.CLOSE, timeout)
            finally:
                while connection := self._rest():
                    connection.close()

    def health_check(self, *, timeout: float | None = None) -> None:
        """Checks the server and its database as they are now: it is not retried."""
        self._call(core.HEALTH, timeout)

    def get_message_state(
        self, channel_id: str, thread_id: str | None = None, *, timeout: float | None = None
    ) -> MessageState | None:
        """The state of exactly this channel and thread, if there is one."""
        return self._call(core.get_message_state(channel_id, thread_id), timeout)

    def upsert_message_state(self, state: MessageState, *, timeout: float | None = None) -> Result:
        """Inserts or updates a state; the last write to arrive wins. A created_at of 0 means now."""
        return self._call(core.upsert_message_state(state), timeout)

    def get_all_message_states(self, *, timeout: float | None = None) -> list[MessageState]:
        """All states, the newest first."""
        return self._call(core.get_message_states(), timeout)

    def get_message_states_within_window(
        self, window: timedelta, *, timeout: float | None = None
    ) -> list[MessageState]:
        """The states last seen since floor(now - window), the newest first."""
        return self._call(core.get_message_states(window), timeout)

    def get_thread_ownership(self, thread_id: str, *, timeout: float | None = None) -> ThreadOwnership | None:
        """The ownership of this thread, if there is one."""
        return self._call(core.get_thread_ownership(thread_id), timeout)

    def upsert_thread_ownership(self, ownership: ThreadOwnership, *, timeout: float | None = None) -> Result:
        """Inserts or updates an ownership; the last write to arrive wins."""
        return self._call(core.upsert_thread_ownership(ownership), timeout)

    def get_all_thread_ownerships(self, *, timeout: float | None = None) -> list[ThreadOwnership]:
        """All ownerships, the newest first."""
        return self._call(core.get_all_thread_ownerships(), timeout)

    def cleanup_old_thread_ownerships(self, max_age: timedelta, *, timeout: float | None = None) -> CleanedUp:
        """Removes the ownerships that were created longer ago than this; 0 is invalid-input."""
        return self._call(core.cleanup_old_thread_ownerships(max_age), timeout)

    def _call(self, request: Request[T], timeout: float | None) -> T:
        patience = self._patience(request, timeout)
        while True:
            try:
                return request.answer(*self._exchange(request, patience.left()))
            except StorageError as error:
                time.sleep(patience.wait(error))

    def _exchange(self, request: Request[T], left: float) -> tuple[int, str | None, bytes]:
        idle = self._rest()
        connection = idle or (_UnixConnection(self._unix) if self._unix else HTTPConnection(*self._tcp))
        connection.timeout, headers = left, self._headers(left)
        if connection.sock is not None:
            connection.sock.settimeout(left)
        try:
            connection.request(request.method, request.path, request.body, headers)
            response = connection.getresponse()
            text = response.read()
        except TimeoutError as error:
            connection.close()
            raise core.no_answer() from error
        except (OSError, HTTPException) as error:
            connection.close()
            if idle is None:
                raise core.unavailable(error) from error
            # The server has closed it while it was at rest.
            return self._exchange(request, left)
        self._idle.append(connection)
        return response.status, response.headers.get("Retry-After"), text
