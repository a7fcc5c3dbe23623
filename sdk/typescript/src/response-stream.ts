/** A running call that brings one response after the other. */

import type { ClientReadableStream } from "@grpc/grpc-js";
import { errorOf } from "./status.js";

/** Iterates over what the responses of `call` become, as they come, once; leaving the loop ends the call. */
export class ResponseStream<Result> implements AsyncIterable<Result> {
  readonly #call: ClientReadableStream<unknown>;
  readonly #results: AsyncIterable<Result>;
  readonly #signal: AbortSignal | undefined;
  #failure: unknown;

  constructor(
    call: ClientReadableStream<unknown>,
    results: AsyncIterable<Result>,
    signal: AbortSignal | undefined,
  ) {
    this.#call = call;
    this.#results = results;
    this.#signal = signal;
    // gRPC emits the failure when it comes, which may be before anyone reads.
    call.on("error", (failure) => {
      this.#failure = failure;
    });
    call.on("status", () => signal?.removeEventListener("abort", this.cancel));
    signal?.addEventListener("abort", this.cancel);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Result, void, undefined> {
    try {
      yield* this.#results;
      if (this.#failure !== undefined) {
        throw this.#failure;
      }
    } catch (failure) {
      throw errorOf(failure, this.#signal);
    } finally {
      this.cancel();
    }
  }

  /** Ends the call; nothing happens when it has ended already. */
  readonly cancel = (): void => this.#call.cancel();
}
