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
    /** How long the server wants a retry to wait. */
    readonly retryAfterMs = 0,
    options?: ErrorOptions,
  ) {
    super(`${kind}: ${detail}`, options);
    this.name = "StorageError";
  }
}

/** A JSON document with names as here, and integers, which may have 64 bits, as `bigint`. The server sends no other numbers. */
export function parse(text: string): any {
  const marked = text.replace(/("(?:[^"\\]|\\.)*")|-?\d+/g, (token, string) => string ?? `{"":"${token}"}`);
  return JSON.parse(marked, (_, value) => {
    if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
    if ("" in value) return BigInt(value[""]);
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [camel(name), member]));
  });
}

/** A flat JSON document. Refuses what would be changed, or would not fit into a request: all other rules are the server's. */
export function stringify(fields: Record<string, string | null | bigint | number>): string {
  const members = Object.entries(fields).map(([name, value]) => {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new StorageError("invalid-input", `${name} is no safe integer: use a bigint`);
    }
    return `"${snake(name)}":${typeof value === "string" ? JSON.stringify(checked(name, value)) : value}`;
  });
  return `{${members.join()}}`;
}

/** A query. */
export function query(fields: Record<string, string | null>): string {
  const given = Object.entries(fields).filter((field): field is [string, string] => field[1] !== null);
  return given.map(([name, value]) => `${snake(name)}=${encodeURIComponent(checked(name, value))}`).join("&");
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

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camel(name: string): string {
  return name.replace(/_./g, (pair) => pair.slice(1).toUpperCase());
}
