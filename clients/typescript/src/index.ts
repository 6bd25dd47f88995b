import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { duration, parse, query, StorageError, stringify, toOwnership, toState } from "./rows.js";
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

interface Answer {
  status: number;
  retryAfter: string | undefined;
  text: string;
}

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
    await this.#retried("POST", "/v1/initialize", undefined, call);
    this.#isOpen = true;
  }

  /** Waits until the database has what the server has accepted, and closes the client, not the server's storage. */
  async close(call?: CallOptions): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      await this.#retried("POST", "/v1/close", undefined, call, true);
    } finally {
      for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy();
    }
  }

  /** Checks the server and its database as they are now: it is not retried. */
  async healthCheck(call?: CallOptions): Promise<void> {
    await this.#call("GET", "/v1/health", undefined, call, true);
  }

  /** The state of exactly this channel and thread. A `threadId` of null matches only the state without a thread. */
  async getMessageState(channelId: string, threadId: string | null, call?: CallOptions): Promise<MessageState | null> {
    const path = `/v1/message-state?${query({ channel_id: channelId, thread_id: threadId })}`;
    const { state } = await this.#call("GET", path, undefined, call);
    return state && toState(state);
  }

  /** Inserts or updates a state; the last write to arrive wins. */
  async upsertMessageState(state: MessageStateUpsert, call?: CallOptions): Promise<Result> {
    const body = stringify({
      channel_id: state.channelId,
      thread_id: state.threadId ?? null,
      last_message_id: state.lastMessageId,
      last_seen_timestamp: state.lastSeenTimestamp,
      created_at: state.createdAt ?? 0,
    });
    return (await this.#call("PUT", "/v1/message-state", body, call)).result;
  }

  /** All states, the newest first. */
  async getAllMessageStates(call?: CallOptions): Promise<MessageState[]> {
    return (await this.#call("GET", "/v1/message-states", undefined, call)).states.map(toState);
  }

  /** The states last seen since floor(now - window), the newest first. */
  async getMessageStatesWithinWindow(windowMs: number, call?: CallOptions): Promise<MessageState[]> {
    const path = `/v1/message-states?${query({ window: duration(windowMs) })}`;
    return (await this.#call("GET", path, undefined, call)).states.map(toState);
  }

  /** The ownership of this thread, if there is one. */
  async getThreadOwnership(threadId: string, call?: CallOptions): Promise<ThreadOwnership | null> {
    const path = `/v1/thread-ownership?${query({ thread_id: threadId })}`;
    const { ownership } = await this.#call("GET", path, undefined, call);
    return ownership && toOwnership(ownership);
  }

  /** Inserts or updates an ownership; the last write to arrive wins. */
  async upsertThreadOwnership(ownership: ThreadOwnershipUpsert, call?: CallOptions): Promise<Result> {
    const body = stringify({
      thread_id: ownership.threadId,
      original_user_id: ownership.originalUserId,
      created_by: ownership.createdBy,
      creation_time: ownership.creationTime,
    });
    return (await this.#call("PUT", "/v1/thread-ownership", body, call)).result;
  }

  /** All ownerships, the newest first. */
  async getAllThreadOwnerships(call?: CallOptions): Promise<ThreadOwnership[]> {
    return (await this.#call("GET", "/v1/thread-ownerships", undefined, call)).ownerships.map(toOwnership);
  }

  /** Removes the ownerships that were created longer ago than this, and says how many unless that happens later. */
  async cleanupOldThreadOwnerships(maxAgeMs: number, call?: CallOptions): Promise<{ result: Result; removed: number }> {
    const body = stringify({ max_age: duration(maxAgeMs) });
    const { result, removed } = await this.#call("POST", "/v1/thread-ownerships/cleanup", body, call);
    return { result, removed: Number(removed ?? 0) };
  }

  async #call(method: string, path: string, body?: string, call?: CallOptions, once = false): Promise<any> {
    if (!this.#isOpen) throw new StorageError("not-initialized", "the client is not open: call initialize");
    return this.#retried(method, path, body, call, once);
  }

  /** Repeats a request while the server says that it may help and the deadline leaves time. All operations are idempotent. */
  async #retried(method: string, path: string, body?: string, call: CallOptions = {}, once = false): Promise<any> {
    const timeout = call.timeoutMs ?? this.#options.timeoutMs ?? 30_000;
    const end = performance.now() + timeout;
    const controller = new AbortController();
    const { signal } = controller;
    const abort = (): void => controller.abort();
    const timer = setTimeout(abort, timeout);
    call.signal?.addEventListener("abort", abort);
    if (call.signal?.aborted) abort();
    try {
      return await this.#attempts(method, path, body, once, end, signal);
    } finally {
      clearTimeout(timer);
      call.signal?.removeEventListener("abort", abort);
    }
  }

  async #attempts(method: string, path: string, body = "", once: boolean, end: number, signal: AbortSignal): Promise<any> {
    for (let pause = 50; ; pause = Math.min(2 * pause, 1000)) {
      const left = Math.max(end - performance.now(), 0.001);
      let wait = pause;
      let failure: StorageError;
      try {
        const { status, retryAfter, text } = await this.#send(method, path, body, await this.#headers(left), signal);
        if (status < 300) return parse(text);
        failure = problem(status, text);
        wait = Math.max(pause, 1000 * Number(retryAfter ?? 0));
      } catch (error) {
        failure = error instanceof StorageError ? error : unanswered(error, signal);
      }
      if (once || !failure.retryable || signal.aborted || end - performance.now() <= wait) throw failure;
      await sleep(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  async #headers(left: number): Promise<Record<string, string>> {
    const headers = { "Content-Type": "application/json", "Cofferdam-Timeout": `${left.toFixed(3)}ms` };
    const { tokenFile } = this.#options;
    if (tokenFile === undefined) return headers;
    const token = await readFile(tokenFile, "utf8").catch((cause) => {
      throw new StorageError("unauthorized", `the token cannot be read: ${cause}`, false, null, "", { cause });
    });
    return { ...headers, Authorization: `Bearer ${token.trim()}` };
  }

  #send(method: string, path: string, body: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { ...this.#place, agent: this.#agent, method, path, signal };
      const length = { "Content-Length": String(Buffer.byteLength(body)) };
      const outgoing = request({ ...options, headers: { ...headers, ...length } }, (incoming) => {
        const parts: Buffer[] = [];
        incoming.on("data", (part) => parts.push(part));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const text = Buffer.concat(parts).toString();
          resolve({ status: incoming.statusCode ?? 0, retryAfter: incoming.headers["retry-after"], text });
        });
      });
      outgoing.on("error", (error) => {
        // The server may have closed a connection while it was at rest.
        if (outgoing.reusedSocket && !signal.aborted) resolve(this.#send(method, path, body, headers, signal));
        else reject(error);
      });
      outgoing.end(body);
    });
  }
}

function problem(status: number, text: string): StorageError {
  try {
    const { kind, detail, retryable, code, request_id } = parse(text);
    if (typeof kind === "string") return new StorageError(kind, detail, retryable, code, request_id);
  } catch {
    // Not from the server itself.
  }
  return new StorageError("unavailable", `status ${status} without a reason`, status >= 500);
}

function unanswered(cause: unknown, signal: AbortSignal): StorageError {
  const [kind, detail] = signal.aborted
    ? ["timeout", "no answer in time; whether a write took effect is unknown"]
    : ["unavailable", `the server does not answer: ${cause instanceof Error ? cause.message : cause}`];
  return new StorageError(kind, detail, true, null, "", { cause });
}
