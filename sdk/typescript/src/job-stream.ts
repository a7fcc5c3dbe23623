/** Streams of a job that outlive a server: they go on where they broke. */

import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions } from "./calls.js";
import { CancelledError, UnavailableError } from "./errors.js";
import type { ResponseStream } from "./response-stream.js";
import { cancelled } from "./status.js";

const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;
const PATIENCE = 60_000;

/** What the streams of a job take. */
export interface JobStreamOptions extends CallOptions {
  /** Milliseconds for the whole stream; none by default. */
  readonly timeout?: number;
  /** For how many milliseconds no server may answer; 60,000 by default. */
  readonly patience?: number;
  /** Goes on behind what another stream has read. */
  readonly resumeToken?: string;
}

/** A message of such a stream: what it brings, and how to go on behind it. */
export interface Part<Item> {
  readonly items: readonly Item[];
  readonly resumeToken: string;
}

/** Opens the stream behind a token. */
export type Open<Item> = (resumeToken: string, options: CallOptions) => ResponseStream<Part<Item>>;

/**
 * Iterates over what a job gives, as it comes, and goes on when a server is replaced.
 * `UnavailableError` is thrown when no server has answered for as long as the caller's patience.
 */
export class JobStream<Item> implements AsyncIterable<Item>, AsyncDisposable {
  readonly #open: Open<Item>;
  readonly #options: JobStreamOptions;
  readonly #stopped = new AbortController();
  #resumeToken: string;

  constructor(open: Open<Item>, options: JobStreamOptions) {
    this.#open = open;
    this.#options = options;
    this.#resumeToken = options.resumeToken ?? "";
  }

  /** Starts another stream behind the last message that was read whole. */
  get resumeToken(): string {
    return this.#resumeToken;
  }

  /** Ends the stream; the job goes on. */
  cancel(): void {
    this.#stopped.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    const progress = new Progress(this.#options);
    const signal = this.#signal();
    while (!this.#stopped.signal.aborted) {
      try {
        const options = { timeout: progress.remaining(), signal };
        for await (const part of this.#open(this.#resumeToken, options)) {
          progress.came();
          yield* this.#items(part);
        }
        return;
      } catch (failure) {
        await this.#pause(progress, failure, signal);
      }
    }
  }

  *#items({ items, resumeToken }: Part<Item>): Generator<Item, void, undefined> {
    for (const item of items.slice(0, -1)) {
      yield item;
    }
    this.#resumeToken = resumeToken;
    yield* items.slice(-1);
  }

  /** Waits until the stream may be opened again; nothing is waited for when it was ended. */
  async #pause(progress: Progress, failure: unknown, signal: AbortSignal): Promise<void> {
    if (!signal.aborted) {
      await sleep(progress.pauseAfter(failure), undefined, { signal }).catch(() => undefined);
    }
    if (signal.aborted && !this.#stopped.signal.aborted) {
      throw cancelled(signal);
    }
  }

  #signal(): AbortSignal {
    const { signal } = this.#options;
    return signal ? AbortSignal.any([this.#stopped.signal, signal]) : this.#stopped.signal;
  }
}

/** How long a stream may still take, and how long to wait before it is opened again. */
class Progress {
  readonly #end: number;
  readonly #patience: number;
  #brokenSince: number | undefined;
  #pause = FIRST_PAUSE;

  constructor({ timeout = Number.POSITIVE_INFINITY, patience = PATIENCE }: JobStreamOptions) {
    this.#end = performance.now() + timeout;
    this.#patience = patience;
  }

  /** Milliseconds until the caller's timeout. */
  remaining(): number {
    return Math.max(this.#end - performance.now(), 1);
  }

  came(): void {
    this.#brokenSince = undefined;
    this.#pause = FIRST_PAUSE;
  }

  /** Milliseconds to wait; throws the failure when waiting is of no use. */
  pauseAfter(failure: unknown): number {
    const now = performance.now();
    this.#brokenSince ??= now;
    if (!isBreak(failure) || now - this.#brokenSince > this.#patience) {
      throw failure;
    }
    const pause = Math.min(this.#pause, this.remaining());
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
    return pause;
  }
}

/** Whether a server went away; one that stops may cancel what nobody here has cancelled. */
function isBreak(failure: unknown): boolean {
  return failure instanceof UnavailableError || failure instanceof CancelledError;
}
