/** A running call that brings one response after the other. */

import type { ClientReadableStream } from "@grpc/grpc-js";
import type { Patience } from "./retries.js";
import { cancelled, errorOf } from "./status.js";

type Call<Response> = ClientReadableStream<Response>;

/**
 * Iterates over what the responses of a call become, as they come, once; leaving the loop ends the
 * call.  `open` makes the call with a timeout in milliseconds: at once, and again while the server
 * has no room for it; once something has come, never.
 */
export class ResponseStream<Result> implements AsyncIterable<Result> {
  readonly #open: (timeout: number) => Call<unknown>;
  readonly #resultOf: (response: unknown) => Result;
  readonly #patience: Patience;
  readonly #signal: AbortSignal | undefined;
  #call: Call<unknown>;
  #failure: unknown;
  #left = false;

  constructor(
    open: (timeout: number) => Call<unknown>,
    // biome-ignore lint/suspicious/noExplicitAny: the response that `open` gives
    resultOf: (response: any) => Result,
    patience: Patience,
    signal: AbortSignal | undefined,
  ) {
    this.#open = open;
    this.#resultOf = resultOf;
    this.#patience = patience;
    this.#signal = signal;
    this.#call = this.#begin();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Result, void, undefined> {
    try {
      for (let begun = false; ; ) {
        try {
          for await (const response of this.#call) {
            begun = true;
            yield this.#resultOf(response);
          }
          if (this.#failure === undefined) {
            return;
          }
          throw this.#failure;
        } catch (failure) {
          await this.#askAgain(errorOf(failure, this.#signal), begun);
        }
      }
    } finally {
      this.cancel();
    }
  }

  /** Ends the call; nothing happens when it has ended already. */
  readonly cancel = (): void => {
    this.#left = true;
    this.#call.cancel();
  };

  /** Opens the call again when the server has had time; throws the failure else. */
  async #askAgain(failure: Error, begun: boolean): Promise<void> {
    if (begun || this.#left) {
      throw failure;
    }
    await this.#patience.pauseAfter(failure);
    if (this.#signal?.aborted) {
      throw cancelled(this.#signal);
    }
    if (this.#left) {
      throw failure;
    }
    this.#failure = undefined;
    this.#call = this.#begin();
  }

  #begin(): Call<unknown> {
    const call = this.#open(this.#patience.remaining());
    // gRPC emits the failure when it comes, which may be before anyone reads.
    call.on("error", (failure) => {
      this.#failure = failure;
    });
    call.on("status", () => this.#signal?.removeEventListener("abort", this.cancel));
    this.#signal?.addEventListener("abort", this.cancel);
    return call;
  }
}
