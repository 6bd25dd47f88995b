#!/usr/bin/env python3
"""Makes events.ndjson: an invented half hour of a chat server, in the shape of Discord's gateway events.

    python3 command/demo/make_events.py > command/demo/events.ndjson

The same seed gives the same bytes with every version of Python 3: of `random` only `random()` is used, which Python
promises to keep. People, texts and ids are invented. What the events have and what they leave out follows
https://docs.discord.com/developers/events/gateway-events; fields that a storage demonstration has no use for are left out.
"""

import json
import random
import sys
from datetime import datetime, timezone

SEED = 20260301
EVENTS = 2000
START_MS = 1772391600000  # 2026-03-01T19:00:00Z
SPAN_MS = 30 * 60 * 1000
DISCORD_EPOCH_MS = 1420070400000  # where Discord's snowflakes begin

rng = random.Random(SEED)


def below(n):
    return int(rng.random() * n)


def pick(items):
    return items[below(len(items))]


def chance(p):
    return rng.random() < p


def snowflake(ms):
    return str((ms - DISCORD_EPOCH_MS) << 22 | below(1 << 22))


def iso(ms):
    whole = datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ms % 1000:03d}000+00:00"


def long_ago():
    return snowflake(START_MS - (1 + below(400)) * 86_400_000)


GUILD = long_ago()
BOT = {"id": long_ago(), "username": "lockkeeper", "bot": True}
OTHER_BOT = {"id": long_ago(), "username": "tide-table", "bot": True}
NAMES = ["ada-mole", "bertil", "cato.k", "dunja", "elif_m", "farouk", "greta", "hoshi", "ines", "jorma", "katinka", "lwazi", "mirela", "noor"]
USERS = [{"id": long_ago(), "username": name} for name in NAMES]
# The first channel gets more than half of the traffic: a bot that was away for a while has missed more of it than fits
# on one page of history.
CHANNELS = [long_ago() for _ in range(8)]

OPENINGS = ["How do I", "Can you tell me how to", "What is the best way to", "Is there a way to", "Do you know how to"]
TASKS = [
    "pump out a caisson", "moor against the tide", "read the lock's gauge", "keep a seal from drying out", "splice a wire rope",
    "drive sheet piles in gravel", "measure seepage", "book the dry dock", "balance the sluices", "find the harbour office",
    "translate \u201cDichtung\u201d", "oil a gate hinge", "order more clay", "file a night permit", "stop a pump from cavitating",
]
ENDINGS = ["?", " before Monday?", " without a permit?", " with two people?", " when it rains?", " \U0001f980?", " in winter?"]
CHATTER = [
    "the water is at 3.20 m", "lunch?", "I left the key at the \u201cold\u201d gate", "nobody touch pump 4", "that was close \U0001f605",
    "see you at the quay", "the crane is back", "who painted the bollard green", "caf\u00e9 is open until nine", "tab\there, and a \\ there",
    "two boats waiting", "rain again", "thanks!", "it holds", "done, gates are shut", "pr\u00fcfen wir morgen", "\u6f6e\u304c\u6765\u308b",
    "line one\nline two", "o_O", "good night",
]


def question():
    return f"{pick(OPENINGS)} {pick(TASKS)}{pick(ENDINGS)}"


events = []


def dispatch(kind, data):
    events.append({"op": 0, "s": len(events) + 1, "t": kind, "d": data})


def message(ms, channel, author, content, mentions=()):
    data = {
        "id": snowflake(ms),
        "channel_id": channel,
        "guild_id": GUILD,
        "author": author,
        "content": content,
        "timestamp": iso(ms),
        "mentions": [{"id": user["id"], "username": user["username"]} for user in mentions],
        "type": 0,
    }
    dispatch("MESSAGE_CREATE", data)
    return data


dispatch("READY", {"v": 10, "user": BOT, "guilds": [{"id": GUILD, "unavailable": True}], "session_id": f"{below(1 << 60):015x}"})

threads = []  # (id, the user it was made for, whether the bot made it)
to_thread = None  # a message from which a thread is about to be made
last = START_MS

while len(events) < EVENTS:
    index = len(events)
    ms = max(last + 1, START_MS + SPAN_MS * index // EVENTS + below(400))
    last = ms
    author = pick(USERS)
    if to_thread is not None:
        origin, by_bot = to_thread
        to_thread = None
        thread = origin["id"]  # a thread that is made from a message has the message's id
        dispatch("THREAD_CREATE", {
            "id": thread,
            "type": 11,
            "guild_id": GUILD,
            "parent_id": origin["channel_id"],
            "owner_id": BOT["id"] if by_bot else origin["author"]["id"],
            "name": origin["content"].replace(f"<@{BOT['id']}> ", "")[:40],
            "thread_metadata": {"archived": False, "auto_archive_duration": 60, "locked": False, "create_timestamp": iso(ms)},
            "newly_created": True,
        })
        threads.append((thread, origin["author"], by_bot))
    elif index % 150 == 75:
        by_bot = index % 450 != 225
        channel = CHANNELS[below(4)]
        content = question()
        mentions = [BOT] if by_bot else []
        to_thread = (message(ms, channel, author, f"<@{BOT['id']}> {content}" if by_bot else content, mentions), by_bot)
    elif chance(0.02):
        dispatch("TYPING_START", {"channel_id": pick(CHANNELS), "guild_id": GUILD, "user_id": author["id"], "timestamp": ms // 1000})
    elif chance(0.01):
        recent = events[-1]["d"]
        dispatch("MESSAGE_REACTION_ADD", {
            "user_id": author["id"], "channel_id": recent.get("channel_id", CHANNELS[0]), "message_id": recent.get("id", GUILD),
            "guild_id": GUILD, "emoji": {"id": None, "name": "\U0001f44d"},
        })
    elif chance(0.01):
        message(ms, pick(CHANNELS), OTHER_BOT, f"<@{BOT['id']}> high water in {1 + below(11)} hours", [BOT])
    elif chance(0.005):
        message(ms, pick(CHANNELS), BOT, "The lock is closed for ten minutes.")
    elif threads and chance(0.22):
        thread, user, by_bot = pick(threads[-6:])
        writer = user if chance(0.6) else author
        if chance(0.1):
            message(ms, thread, writer, f"<@{BOT['id']}> {question()}", [BOT])
        else:
            message(ms, thread, writer, question() if chance(0.5) else pick(CHATTER))
    else:
        channel = CHANNELS[0] if chance(0.55) else pick(CHANNELS)
        if chance(0.15):
            mentions = [BOT] if chance(0.8) else [pick(USERS), BOT]
            message(ms, channel, author, f"<@{BOT['id']}> {question()}", mentions)
        elif chance(0.15):
            other = pick(USERS)
            message(ms, channel, author, f"<@{other['id']}> {pick(CHATTER)}", [other])
        else:
            message(ms, channel, author, pick(CHATTER))

for event in events:
    sys.stdout.buffer.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
