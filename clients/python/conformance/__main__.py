"""Drives both clients for the conformance suite: reads a request a line, calls the client, and answers with a line.

64-bit integers are text on both sides. `python conformance sync` drives the client for threads, `python conformance async` the one
for asyncio.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from cofferdam import AsyncClient, CleanedUp, Client, MessageState, StorageError, ThreadOwnership

T = TypeVar("T")
ROUNDS = 5


def texts(value: Any) -> Any:
    """An answer with its integers as text."""
    if isinstance(value, CleanedUp):
        return {"result": value.result, "removed": str(value.removed)}
    if isinstance(value, str):
        return {"result": value, "removed": "0"}
    if isinstance(value, (MessageState, ThreadOwnership)):
        return {name: str(cell) if isinstance(cell, int) else cell for name, cell in asdict(value).items()}
    return [texts(row) for row in value] if isinstance(value, list) else value


def row(of: Callable[..., T], texts: dict[str, Any]) -> T:
    integers = {"id", "last_seen_timestamp", "creation_time", "created_at", "updated_at"}
    return of(**{name: int(cell) if name in integers else cell for name, cell in texts.items()})


def length(request: dict[str, Any]) -> timedelta:
    # Rounded up to the microseconds of a timedelta: the same moment where the clock stands at whole seconds, as the suite's does.
    return timedelta(microseconds=-(-int(request["nanoseconds"]) // 1000))


def arguments(request: dict[str, Any]) -> list[Any]:
    match request["operation"]:
        case "get_message_state":
            return [request["channel_id"], request["thread_id"]]
        case "get_thread_ownership":
            return [request["thread_id"]]
        case "upsert_message_state":
            return [row(MessageState, request["state"])]
        case "upsert_thread_ownership":
            return [row(ThreadOwnership, request["ownership"])]
        case "get_message_states_within_window" | "cleanup_old_thread_ownerships":
            return [length(request)]
        case _:
            return []


def of_task(number: int, round: int) -> MessageState:
    return MessageState(f"c{number}", f"m{number}", round)


def same(written: MessageState, found: MessageState | None) -> None:
    if found is None or (found.last_message_id, found.last_seen_timestamp) != (
        written.last_message_id,
        written.last_seen_timestamp,
    ):
        raise RuntimeError(f"{written} is answered with {found}")


def at_once(client: Client, count: int) -> None:
    """Writes and reads back states on one client from many threads."""

    def task(number: int) -> None:
        for round in range(ROUNDS):
            state = of_task(number, round)
            client.upsert_message_state(state)
            same(state, client.get_message_state(state.channel_id))

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(task, range(count)))


async def at_once_async(client: AsyncClient, count: int) -> None:
    """As `at_once`, from many tasks."""

    async def task(number: int) -> None:
        for round in range(ROUNDS):
            state = of_task(number, round)
            await client.upsert_message_state(state)
            same(state, await client.get_message_state(state.channel_id))

    await asyncio.gather(*map(task, range(count)))


def options(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": request["address"],
        "token_file": request.get("token_file"),
        "timeout": int(request["timeout"]) / 1000,
    }


def answer(value: Any = None, error: StorageError | None = None) -> None:
    if error is None:
        document: dict[str, Any] = {"value": texts(value)}
    else:
        document = {"error": {name: getattr(error, name) for name in ("kind", "detail", "retryable", "code")}}
    print(json.dumps(document), flush=True)


def run() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            match request["operation"]:
                case "new":
                    client = Client(**options(request))
                    answer()
                case "at_once":
                    at_once(client, request["count"])
                    answer()
                case operation:
                    answer(getattr(client, operation)(*arguments(request)))
        except StorageError as error:
            answer(error=error)


async def run_async() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        try:
            match request["operation"]:
                case "new":
                    client = AsyncClient(**options(request))
                    answer()
                case "at_once":
                    await at_once_async(client, request["count"])
                    answer()
                case operation:
                    call: Awaitable[Any] = getattr(client, operation)(*arguments(request))
                    answer(await call)
        except StorageError as error:
            answer(error=error)


if __name__ == "__main__":
    asyncio.run(run_async()) if sys.argv[1] == "async" else run()
