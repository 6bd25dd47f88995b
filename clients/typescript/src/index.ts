import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, request, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { duration, parse, query, StorageError, stringify } from "./rows.js";
import type { MessageState, MessageStateUpsert, Result, ThreadOwnership, ThreadOwnershipUpsert } from "./rows.js";

export { StorageError } from "./rows.js";
export type { MessageState, MessageStateUpsert, Result, ThreadOwnership, ThreadOwnershipUpsert } from "./rows.js";

/** Where the server is. */
export interface Options {
  /** What the server prints: `unix:/run/bot/cofferdam.sock` or `http://127.0.0.1:8080`. */
  address: string;
  /** The file with the token of a server on TCP. It is read for each request, so that the token can be exchanged. */
  tokenFile?: string | undefined;
  /** For calls without a timeout of their own; 30 seconds if it is not given. */
  timeoutMs?: number;
}

/** How long a call may take with all its attempts, and what cancels it. */
export interface CallOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** Before the next attempt, in milliseconds, where the server does not say. */
const PAUSE = 200;

/** The eleven operations, for any number of calls at a time. */
export class Client {
  readonly #place: { socketPath: string } | { hostname: string; port: string };
  readonly #options: Options;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 });
  #isOpen = false;

  constructor(options: Options) {
    this.#options = options;
    if (options.address.startsWith("unix:")) {
      this.#place = { socketPath: options.address.slice(5) };
    } else {
      const { hostname, port } = new URL(options.address);
      this.#place = { hostname: hostname.replace(/^\[|\]$/g, ""), port };
    }
  }

  /** Opens the client. Until it has succeeded, the other operations fail with not-initialized. */
  async initialize(call?: CallOptions): Promise<void> {
    await this.#send("POST", "/v1/initialize", "", call);
    this.#isOpen = true;
  }

  /** Waits until the database has what the server has accepted, and closes the client, not the server's storage. */
  async close(call?: CallOptions): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#send("POST", "/v1/close", "", call);
    } finally {
      for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
    }
  }

  /** Checks the server and its database as they are now: it is not retried. */
  async healthCheck(call?: CallOptions): Promise<void> {
    await this.#call("GET", "/v1/health", "", call);
  }

  /** The state of exactly this channel and thread. A `threadId` of null matches only the state without a thread. */
  async getMessageState(channelId: string, threadId: string | null, call?: CallOptions): Promise<MessageState | null> {
    return (await this.#call("GET", `/v1/message-state?${query({ channelId, threadId })}`, "", call)).state;
  }

  /** Inserts or updates a state; the last write to arrive wins. */
  async upsertMessageState(state: MessageStateUpsert, call?: CallOptions): Promise<Result> {
    const { channelId, threadId = null, lastMessageId, lastSeenTimestamp, createdAt = 0 } = state;
    const body = stringify({ channelId, threadId, lastMessageId, lastSeenTimestamp, createdAt });
    return (await this.#call("PUT", "/v1/message-state", body, call)).result;
  }

  /** All states, the newest first. */
  async getAllMessageStates(call?: CallOptions): Promise<MessageState[]> {
    return (await this.#call("GET", "/v1/message-states", "", call)).states;
  }

  /** The states last seen since floor(now - window), the newest first. */
  async getMessageStatesWithinWindow(windowMs: number, call?: CallOptions): Promise<MessageState[]> {
    return (await this.#call("GET", `/v1/message-states?${query({ window: duration(windowMs) })}`, "", call)).states;
  }

  /** The ownership of this thread, if there is one. */
  async getThreadOwnership(threadId: string, call?: CallOptions): Promise<ThreadOwnership | null> {
    return (await this.#call("GET", `/v1/thread-ownership?${query({ threadId })}`, "", call)).ownership;
  }

  /** Inserts or updates an ownership; the last write to arrive wins. */
  async upsertThreadOwnership(ownership: ThreadOwnershipUpsert, call?: CallOptions): Promise<Result> {
    const { threadId, originalUserId, createdBy, creationTime } = ownership;
    const body = stringify({ threadId, originalUserId, createdBy, creationTime });
    return (await this.#call("PUT", "/v1/thread-ownership", body, call)).result;
  }

  /** All ownerships, the newest first. */
  async getAllThreadOwnerships(call?: CallOptions): Promise<ThreadOwnership[]> {
    return (await this.#call("GET", "/v1/thread-ownerships", "", call)).ownerships;
  }

  /** Removes the ownerships that were created longer ago than this, and says how many unless that happens later. */
  async cleanupOldThreadOwnerships(maxAgeMs: number, call?: CallOptions): Promise<{ result: Result; removed: number }> {
    const body = stringify({ maxAge: duration(maxAgeMs) });
    const { result, removed = 0 } = await this.#call("POST", "/v1/thread-ownerships/cleanup", body, call);
    return { result, removed: Number(removed) };
  }

  async #call(method: string, path: string, body: string, call?: CallOptions): Promise<any> {
    if (!this.#isOpen) throw new StorageError("not-initialized", "the client is not open: call initialize");
    return this.#send(method, path, body, call);
  }

  /** Repeats a request while the server says that it may help and the deadline leaves time. All operations are idempotent. */
  async #send(method: string, path: string, body: string, call: CallOptions = {}): Promise<any> {
    const timeout = call.timeoutMs ?? this.#options.timeoutMs ?? 30_000;
    const end = performance.now() + timeout;
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    const timer = setTimeout(abort, timeout);
    call.signal?.addEventListener("abort", abort);
    if (call.signal?.aborted) abort();
    try {
      for (;;) {
        try {
          return await this.#attempt(method, path, body, Math.max(end - performance.now(), 0.001), controller.signal);
        } catch (error) {
          const failure = error instanceof StorageError ? error : unanswered(error, controller.signal);
          const isLast = path === "/v1/health" || path === "/v1/close" || controller.signal.aborted;
          if (isLast || !failure.retryable || end - performance.now() <= failure.retryAfterMs) throw failure;
          await sleep(failure.retryAfterMs, undefined, { signal: controller.signal }).catch(() => undefined);
        }
      }
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener("abort", abort);
    }
  }

  async #attempt(method: string, path: string, body: string, left: number, signal: AbortSignal): Promise<any> {
    const headers: Record<string, string> = {
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(body)),
      "Cofferdam-Timeout": `${left.toFixed(3)}ms`,
    };
    if (this.#options.tokenFile !== undefined) headers.Authorization = `Bearer ${await token(this.#options.tokenFile)}`;
    const outgoing = request({ ...this.#place, agent: this.#agent, method, path, headers, signal });
    // Of a connection that breaks after the answer began, the answer tells.
    outgoing.on("error", () => undefined).end(body);
    let answer: IncomingMessage;
    try {
      [answer] = await once(outgoing, "response");
    } catch (error) {
      // The server may have closed a connection while it was at rest.
      if (outgoing.reusedSocket && !signal.aborted) return this.#attempt(method, path, body, left, signal);
      throw error;
    }
    const [document, status] = [await text(answer), answer.statusCode ?? 0];
    if (status < 300) return parse(document);
    throw refused(status, document, 1000 * Number(answer.headers["retry-after"]) || PAUSE);
  }
}

async function token(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw new StorageError("unauthorized", `the token cannot be read: ${cause}`, false, null, "", 0, { cause });
  }
}

function refused(status: number, document: string, waitMs: number): StorageError {
  try {
    const { kind, detail, retryable, code, requestId } = parse(document);
    if (typeof kind === "string") return new StorageError(kind, detail, retryable, code, requestId, waitMs);
  } catch {
    // Not from the server itself.
  }
  return new StorageError("unavailable", `status ${status} without a reason`, status >= 500, null, "", waitMs);
}

function unanswered(cause: unknown, signal: AbortSignal): StorageError {
  const [kind, detail] = signal.aborted
    ? ["timeout", "no answer in time; whether a write took effect is unknown"]
    : ["unavailable", `the server does not answer: ${cause instanceof Error ? cause.message : cause}`];
  return new StorageError(kind, detail, true, null, "", PAUSE, { cause });
}
