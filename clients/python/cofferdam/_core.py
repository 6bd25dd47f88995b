"""What both clients share: rows, errors, requests and the rules of repeating them; no input or output."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

T = TypeVar("T")
C = TypeVar("C")
Result = Literal["stored", "spooled"]
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class MessageState:
    """The last message that the bot processed in one channel or thread. Times are whole seconds since the Unix epoch."""

    channel_id: str
    last_message_id: str
    last_seen_timestamp: int
    thread_id: str | None = None
    created_at: int = 0
    updated_at: int = 0
    id: int = 0


@dataclass(frozen=True)
class ThreadOwnership:
    """A thread that the bot created and answers in without being mentioned."""

    thread_id: str
    original_user_id: str
    created_by: str
    creation_time: int
    created_at: int = 0
    updated_at: int = 0
    id: int = 0


@dataclass(frozen=True)
class CleanedUp:
    """What became of a cleanup. Nothing is known to be removed while it waits in the server's spool."""

    result: Result
    removed: int


class StorageError(Exception):
    """A failed operation. Decide by `kind` and `retryable`; the text is for people."""

    def __init__(
        self, kind: str, detail: str, retryable: bool = False, code: str | None = None, request_id: str = ""
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.retryable, self.code, self.request_id = kind, detail, retryable, code, request_id
        # What the server wants, or a pause where it does not say.
        self.retry_after = 0.2


@dataclass(frozen=True)
class Request(Generic[T]):
    """One operation, to be sent any number of times."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: bytes | None = None
    once: bool = False

    def answer(self, status: int, retry_after: str | None, text: bytes) -> T:
        """Reads the server's answer."""
        try:
            document = json.loads(text)
            if status < 300:
                return self.read(document)
            known = {name: document[name] for name in ("kind", "detail", "retryable", "code", "request_id")}
        except (ValueError, LookupError, TypeError):
            # Not from the server itself: what is between may recover.
            known = {"kind": "unavailable", "detail": f"status {status} without a reason", "retryable": status >= 500}
        error = StorageError(**known)
        if retry_after and retry_after.isdigit():
            error.retry_after = float(retry_after)
        raise error


class Patience:
    """How long a call still has, and when it is tried again."""

    def __init__(self, timeout: float, once: bool) -> None:
        self._end, self._once = time.monotonic() + timeout, once

    def left(self) -> float:
        """Seconds until the deadline."""
        return max(self._end - time.monotonic(), 0.001)

    def wait(self, error: StorageError) -> float:
        """Seconds until the next attempt; raises the error if there is none."""
        if self._once or not error.retryable or self.left() <= error.retry_after:
            raise error
        return error.retry_after


class Base(Generic[C]):
    """Where the server is, whether the client is open, and its connections at rest."""

    def __init__(self, address: str, *, token_file: str | Path | None = None, timeout: float = 30.0) -> None:
        place = urlsplit(address)
        if place.scheme == "http" and place.hostname:
            self._unix, self._tcp = None, (place.hostname, place.port or 80)
        elif place.scheme == "unix":
            self._unix, self._tcp = address[5:], ("localhost", 0)
        else:
            raise ValueError(f"the address is {address!r}: it must be unix:PATH or http://HOST:PORT")
        self._token_file, self._timeout, self._open = token_file, timeout, False
        self._idle: deque[C] = deque()

    def _headers(self, left: float) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Cofferdam-Timeout": f"{left * 1000:.3f}ms"}
        if self._token_file is not None:
            try:
                headers["Authorization"] = f"Bearer {Path(self._token_file).read_text().strip()}"
            except OSError as error:
                raise StorageError("unauthorized", f"the token cannot be read: {error}") from error
        return headers

    def _patience(self, request: Request[Any], timeout: float | None) -> Patience:
        if not self._open and request not in (INITIALIZE, CLOSE):
            raise StorageError("not-initialized", "the client is not open: call initialize")
        return Patience(self._timeout if timeout is None else timeout, request.once)

    def _rest(self) -> C | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def no_answer() -> StorageError:
    return StorageError("timeout", "no answer in time; whether a write took effect is unknown", True)


def unavailable(error: Exception) -> StorageError:
    return StorageError("unavailable", f"the server does not answer: {error or type(error).__name__}", True)


INITIALIZE: Request[None] = Request("POST", "/v1/initialize", lambda _: None)
CLOSE: Request[None] = Request("POST", "/v1/close", lambda _: None, once=True)
HEALTH: Request[None] = Request("GET", "/v1/health", lambda _: None, once=True)


def get_message_state(channel_id: str, thread_id: str | None) -> Request[MessageState | None]:
    query = _query(channel_id=channel_id, thread_id=thread_id)
    return Request("GET", f"/v1/message-state?{query}", lambda answer: _row(MessageState, answer["state"]))


def upsert_message_state(state: MessageState) -> Request[Result]:
    return Request("PUT", "/v1/message-state", _result, _body(asdict(state)))


def get_message_states(window: timedelta | None = None) -> Request[list[MessageState]]:
    query = _query(window=None if window is None else _duration(window))
    return Request("GET", f"/v1/message-states?{query}", lambda answer: _rows(MessageState, answer["states"]))


def get_thread_ownership(thread_id: str) -> Request[ThreadOwnership | None]:
    query = _query(thread_id=thread_id)
    return Request("GET", f"/v1/thread-ownership?{query}", lambda answer: _row(ThreadOwnership, answer["ownership"]))


def upsert_thread_ownership(ownership: ThreadOwnership) -> Request[Result]:
    return Request("PUT", "/v1/thread-ownership", _result, _body(asdict(ownership)))


def get_all_thread_ownerships() -> Request[list[ThreadOwnership]]:
    return Request("GET", "/v1/thread-ownerships", lambda answer: _rows(ThreadOwnership, answer["ownerships"]))


def cleanup_old_thread_ownerships(max_age: timedelta) -> Request[CleanedUp]:
    def read(answer: dict[str, Any]) -> CleanedUp:
        return CleanedUp(_result(answer), answer.get("removed", 0))

    return Request("POST", "/v1/thread-ownerships/cleanup", read, _body({"max_age": _duration(max_age)}))


def _row(of: type[T], row: Mapping[str, Any] | None) -> T | None:
    return None if row is None else _rows(of, [row])[0]


def _rows(of: type[T], rows: list[Mapping[str, Any]]) -> list[T]:
    names = [field.name for field in fields(of)]
    return [of(**{name: row[name] for name in names}) for row in rows]


def _result(answer: dict[str, Any]) -> Result:
    return "spooled" if answer["result"] == "spooled" else "stored"


def _duration(length: timedelta) -> str:
    # At most what the server reads: 292 years.
    return f"{min(length // MICROSECOND, (2**63 - 1) // 1000)}us"


def _query(**ids: str | None) -> str:
    return urlencode(_checked({name: id for name, id in ids.items() if id is not None}))


def _body(row: dict[str, Any]) -> bytes:
    return json.dumps(_checked(row)).encode()


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    """Refuses what is no Unicode, and what would not fit into a request. All other rules are the server's."""
    for name, text in row.items():
        if isinstance(text, str) and (len(text) > 255 or any("\ud800" <= character <= "\udfff" for character in text)):
            raise StorageError("invalid-input", f"{name} is no Unicode text, or has more than 255 characters")
    return row
