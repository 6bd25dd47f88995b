/** The last message that the bot processed in one channel or thread. Times are whole seconds since the Unix epoch. */
export interface MessageState {
  id: bigint;
  channelId: string;
  threadId: string | null;
  lastMessageId: string;
  lastSeenTimestamp: bigint;
  createdAt: bigint;
  updatedAt: bigint;
}

/** A state to insert or update. A `createdAt` of 0, or none, means now. Numbers have to be safe integers. */
export type MessageStateUpsert = Pick<MessageState, "channelId" | "lastMessageId"> & {
  threadId?: string | null;
  lastSeenTimestamp: bigint | number;
  createdAt?: bigint | number;
};

/** A thread that the bot created and answers in without being mentioned. */
export interface ThreadOwnership {
  id: bigint;
  threadId: string;
  originalUserId: string;
  createdBy: string;
  creationTime: bigint;
  createdAt: bigint;
  updatedAt: bigint;
}

/** An ownership to insert or update. */
export type ThreadOwnershipUpsert = Pick<ThreadOwnership, "threadId" | "originalUserId" | "createdBy"> & {
  creationTime: bigint | number;
};

/** Whether a write is in the database, or is durable in the server's spool and reaches the database later. */
export type Result = "stored" | "spooled";

/** A failed operation. Decide by `kind` and `retryable`; the message is for people. */
export class StorageError extends Error {
  constructor(
    readonly kind: string,
    detail: string,
    readonly retryable = false,
    readonly code: string | null = null,
    readonly requestId = "",
    options?: ErrorOptions,
  ) {
    super(`${kind}: ${detail}`, options);
    this.name = "StorageError";
  }
}

/** A JSON document whose integers, which may have 64 bits, are texts. The server sends no other numbers. */
export function parse(text: string): any {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d+/g, (token) => (token.startsWith('"') ? token : `"${token}"`)));
}

/** A flat JSON document. Refuses what would be changed, or would not fit into a request: all other rules are the server's. */
export function stringify(fields: Record<string, string | null | bigint | number>): string {
  const members = Object.entries(fields).map(([name, value]) => {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new StorageError("invalid-input", `${name} is no safe integer: use a bigint`);
    }
    return `"${name}":${typeof value === "string" ? JSON.stringify(checked(name, value)) : value}`;
  });
  return `{${members.join()}}`;
}

/** A query. */
export function query(fields: Record<string, string | null>): string {
  const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== null);
  return given.map(([name, value]) => `${name}=${encodeURIComponent(checked(name, value))}`).join("&");
}

function checked(name: string, text: string): string {
  if (text.length > 510 || [...text].length > 255 || /\p{Surrogate}/u.test(text)) {
    throw new StorageError("invalid-input", `${name} is no Unicode text, or has more than 255 characters`);
  }
  return text;
}

/** A duration as the server reads it: at most 292 years, in steps of a nanosecond. */
export function duration(milliseconds: number): string {
  return `${Math.min(milliseconds, 9_223_372_036_854).toFixed(6)}ms`;
}

export function toState(row: any): MessageState {
  return {
    id: BigInt(row.id),
    channelId: row.channel_id,
    threadId: row.thread_id,
    lastMessageId: row.last_message_id,
    lastSeenTimestamp: BigInt(row.last_seen_timestamp),
    createdAt: BigInt(row.created_at),
    updatedAt: BigInt(row.updated_at),
  };
}

export function toOwnership(row: any): ThreadOwnership {
  return {
    id: BigInt(row.id),
    threadId: row.thread_id,
    originalUserId: row.original_user_id,
    createdBy: row.created_by,
    creationTime: BigInt(row.creation_time),
    createdAt: BigInt(row.created_at),
    updatedAt: BigInt(row.updated_at),
  };
}
