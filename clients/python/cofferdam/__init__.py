"""Keeps a bot's state through a `cofferdam serve` process, with retries within the caller's timeout."""

from ._async import AsyncClient
from ._core import CleanedUp, MessageState, StorageError, ThreadOwnership
from ._sync import Client

__all__ = ["AsyncClient", "CleanedUp", "Client", "MessageState", "StorageError", "ThreadOwnership"]
