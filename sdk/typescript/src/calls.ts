/** How the methods of the API are called: one answer, a stream of them, an upload. */

import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { CallOptions as GrpcCallOptions, MethodDefinition } from "@grpc/grpc-js";
import type { Connection } from "./connection.js";
import { InvalidRequestError } from "./errors.js";
import { ResponseStream } from "./response-stream.js";
import { Patience } from "./retries.js";
import { cancelled, errorOf } from "./status.js";

/** What every call takes. */
export interface CallOptions {
  /** Milliseconds after which the call fails with `DeadlineError`; `Infinity` for no limit. */
  readonly timeout?: number;
  /** Cancels the call, also at the server: it fails with `CancelledError`. */
  readonly signal?: AbortSignal;
}

/** Calls over one connection; every failure is a `SeqwayError`. */
export class Calls {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** One request, one response; sent again while the server has no room for it, until its timeout. */
  async unary<Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const data = serialize(method.requestSerialize, request);
    const patience = this.#patience(options);
    for (;;) {
      try {
        return await this.#promise<Response>(options.signal, (done) =>
          this.#connection.grpc.makeUnaryRequest(
            method.path,
            same,
            method.responseDeserialize,
            data,
            this.#connection.metadata(),
            grpcOptions(patience.remaining()),
            done,
          ),
        );
      } catch (failure) {
        await patience.pauseAfter(failure);
      }
    }
  }

  /** A stream, which has begun, of what the responses become. */
  stream<Request, Response, Result>(
    method: MethodDefinition<Request, Response>,
    request: Request,
    options: CallOptions,
    resultOf: (response: Response) => Result,
  ): ResponseStream<Result> {
    const data = serialize(method.requestSerialize, request);
    throwIfAborted(options.signal);
    const open = (timeout: number) =>
      this.#connection.grpc.makeServerStreamRequest(
        method.path,
        same,
        method.responseDeserialize,
        data,
        this.#connection.metadata(),
        grpcOptions(timeout),
      );
    return new ResponseStream(open, resultOf, this.#patience(options), options.signal);
  }

  /** Many requests, one response.  What `requests` throws is thrown here. */
  async upload<Request, Response>(
    method: MethodDefinition<Request, Response>,
    requests: AsyncIterable<Request>,
    options: CallOptions,
  ): Promise<Response> {
    const lines = new Source(requests);
    const source = Readable.from(lines);
    try {
      return await this.#promise<Response>(options.signal, (done) => {
        const call = this.#connection.grpc.makeClientStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          this.#connection.metadata(),
          grpcOptions(options.timeout ?? this.#connection.timeout),
          done,
        );
        pipeline(source, call as unknown as Writable).catch(() => call.cancel());
        return call;
      });
    } catch (failure) {
      throw lines.failed ? lines.failure : failure;
    } finally {
      source.destroy();
    }
  }

  /** Ends the connection; calls that run come to their end. */
  close(): void {
    this.#connection.grpc.close();
  }

  #promise<Response>(
    signal: AbortSignal | undefined,
    begin: (done: (failure: Error | null, response?: Response) => void) => { cancel(): void },
  ): Promise<Response> {
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const call = begin((failure, response) => {
        signal?.removeEventListener("abort", cancel);
        if (failure) {
          reject(errorOf(failure, signal));
        } else {
          resolve(response as Response);
        }
      });
      const cancel = () => call.cancel();
      signal?.addEventListener("abort", cancel);
    });
  }

  #patience({ timeout = this.#connection.timeout, signal }: CallOptions): Patience {
    return new Patience(timeout, this.#connection.retryOverloaded, signal);
  }
}

function grpcOptions(timeout: number): GrpcCallOptions {
  return timeout === Number.POSITIVE_INFINITY ? {} : { deadline: Date.now() + timeout };
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw cancelled(signal);
  }
}

const same = (data: Buffer): Buffer => data;

/** The request as it is sent; a value that its field can't hold is the caller's mistake. */
function serialize<Request>(encode: (request: Request) => Buffer, request: Request): Buffer {
  try {
    return encode(request);
  } catch (failure) {
    throw new InvalidRequestError(`a value of the request can't be sent: ${failure}`, {
      reason: "INVALID_OPTION",
      cause: failure,
    });
  }
}

/** Keeps what the caller's lines throw: gRPC would only say that the call was cancelled. */
class Source<Item> implements AsyncIterable<Item> {
  readonly #items: AsyncIterable<Item>;
  failed = false;
  failure: unknown;

  constructor(items: AsyncIterable<Item>) {
    this.#items = items;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    try {
      yield* this.#items;
    } catch (failure) {
      this.failed = true;
      this.failure = failure;
      throw failure;
    }
  }
}
