/** How long a call waits that an overloaded server has refused, before it is sent again. */

import { setTimeout as sleep } from "node:timers/promises";
import { OverloadedError } from "./errors.js";
import { cancelled } from "./status.js";

// The callers that were refused together must not come back together.
const MOST_JITTER = 0.5;
// With less time than this a call that is sent again would only be too late.
const LEAST_MS = 100;

/**
 * Waits as long as the server asks for, within the timeout of the call.  Only a refusal for want of
 * room is waited for, since no work was done for it; a tenant at one of its own limits
 * (QUOTA_EXCEEDED) is told at once.
 */
export class Patience {
  readonly #end: number;
  readonly #waits: boolean;
  readonly #signal: AbortSignal | undefined;

  /** `timeout` in milliseconds, `Infinity` for none. */
  constructor(timeout: number, waits: boolean, signal?: AbortSignal) {
    this.#end = performance.now() + timeout;
    this.#waits = waits;
    this.#signal = signal;
  }

  /** Milliseconds until the timeout. */
  remaining(): number {
    return Math.max(this.#end - performance.now(), 1);
  }

  /** Resolves when the call may be sent again; throws the failure when that is of no use. */
  async pauseAfter(failure: unknown): Promise<void> {
    if (!this.#waits || !(failure instanceof OverloadedError)) {
      throw failure;
    }
    if (failure.reason !== "OVERLOADED" || failure.retryAfter === undefined) {
      throw failure;
    }
    const pause = failure.retryAfter * (1 + MOST_JITTER * Math.random());
    if (pause + LEAST_MS >= this.remaining()) {
      throw failure;
    }
    const signal = this.#signal;
    try {
      await sleep(pause, undefined, signal && { signal });
    } catch (interrupt) {
      throw signal?.aborted ? cancelled(signal) : interrupt;
    }
  }
}
