// Drives the client for the conformance suite: reads a request a line, calls the client, and answers with a line. 64-bit integers
// are text on both sides.

import { createInterface } from "node:readline";
import { Client, StorageError } from "../src/index.js";
import type { MessageState, ThreadOwnership } from "../src/index.js";

const ROUNDS = 5;

/** Millionths of a millisecond are exact where there are few; where there are many, what is less than a millisecond is dropped. */
function milliseconds(nanoseconds: string): number {
  const exact = BigInt(nanoseconds);
  return exact < 1_000_000_000n ? Number(exact) / 1e6 : Number(exact / 1_000_000n);
}

function state(row: MessageState): Record<string, string | null> {
  return {
    id: String(row.id),
    channel_id: row.channelId,
    thread_id: row.threadId,
    last_message_id: row.lastMessageId,
    last_seen_timestamp: String(row.lastSeenTimestamp),
    created_at: String(row.createdAt),
    updated_at: String(row.updatedAt),
  };
}

function ownership(row: ThreadOwnership): Record<string, string> {
  return {
    id: String(row.id),
    thread_id: row.threadId,
    original_user_id: row.originalUserId,
    created_by: row.createdBy,
    creation_time: String(row.creationTime),
    created_at: String(row.createdAt),
    updated_at: String(row.updatedAt),
  };
}

/** Writes and reads back states on one client from many calls at a time. */
async function atOnce(client: Client, count: number): Promise<void> {
  const task = async (_: unknown, number: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      const written = { channelId: `c${number}`, lastMessageId: `m${number}`, lastSeenTimestamp: round };
      await client.upsertMessageState(written);
      const found = await client.getMessageState(written.channelId, null);
      if (found?.lastMessageId !== written.lastMessageId || found.lastSeenTimestamp !== BigInt(round)) {
        throw new Error(`${written.channelId} is answered with ${found?.channelId}`);
      }
    }
  };
  await Promise.all(Array.from({ length: count }, task));
}

let client = new Client({ address: "unix:/nowhere" });

async function answer(request: any): Promise<unknown> {
  switch (request.operation) {
    case "new":
      client = new Client({
        address: request.address,
        tokenFile: request.token_file ?? undefined,
        timeoutMs: Number(request.timeout),
      });
      return null;
    case "initialize":
      return client.initialize();
    case "close":
      return client.close();
    case "health_check":
      return client.healthCheck();
    case "get_message_state": {
      const found = await client.getMessageState(request.channel_id, request.thread_id);
      return found && state(found);
    }
    case "upsert_message_state": {
      const { channel_id, thread_id, last_message_id, last_seen_timestamp, created_at } = request.state;
      const result = await client.upsertMessageState({
        channelId: channel_id,
        threadId: thread_id,
        lastMessageId: last_message_id,
        lastSeenTimestamp: BigInt(last_seen_timestamp),
        createdAt: BigInt(created_at),
      });
      return { result, removed: "0" };
    }
    case "get_all_message_states":
      return (await client.getAllMessageStates()).map(state);
    case "get_message_states_within_window":
      return (await client.getMessageStatesWithinWindow(milliseconds(request.nanoseconds))).map(state);
    case "get_thread_ownership": {
      const found = await client.getThreadOwnership(request.thread_id);
      return found && ownership(found);
    }
    case "upsert_thread_ownership": {
      const { thread_id, original_user_id, created_by, creation_time } = request.ownership;
      const result = await client.upsertThreadOwnership({
        threadId: thread_id,
        originalUserId: original_user_id,
        createdBy: created_by,
        creationTime: BigInt(creation_time),
      });
      return { result, removed: "0" };
    }
    case "get_all_thread_ownerships":
      return (await client.getAllThreadOwnerships()).map(ownership);
    case "cleanup_old_thread_ownerships": {
      const { result, removed } = await client.cleanupOldThreadOwnerships(milliseconds(request.nanoseconds));
      return { result, removed: String(removed) };
    }
    case "at_once":
      return atOnce(client, request.count);
    default:
      throw new Error(`unknown operation ${request.operation}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ value: (await answer(JSON.parse(line))) ?? null }));
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const { kind, message, retryable, code } = error;
    console.log(JSON.stringify({ error: { kind, detail: message, retryable, code } }));
  }
}
