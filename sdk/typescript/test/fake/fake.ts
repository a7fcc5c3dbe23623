/** What all fake servicers do: keep what came, fail and wait on demand. */

import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerErrorResponse,
} from "@grpc/grpc-js";

export class Fake {
  readonly requests: unknown[] = [];
  readonly metadata: Metadata[] = [];
  /** What the next calls fail with, one after the other. */
  readonly failures: ServerErrorResponse[] = [];
  /** What every call fails with. */
  failure: ServerErrorResponse | undefined;
  /** Whether streams stop behind their first message, for ever. */
  held = false;
  /** Whether a stream ends with an event that nobody knows. */
  unknown = false;
  /** Resolves when a caller has left a call. */
  readonly left: Promise<void>;
  #leave: () => void = () => undefined;

  constructor() {
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  /** Notes a call; throws when it is to fail. */
  receive(request: unknown, metadata: Metadata): void {
    this.requests.push(request);
    this.metadata.push(metadata);
    const failure = this.failures.shift() ?? this.failure;
    if (failure) {
      throw failure;
    }
  }

  async hold(): Promise<void> {
    if (this.held) {
      await new Promise(() => undefined);
    }
  }

  unary<Request, Response>(
    answer: (request: Request) => Response,
  ): handleUnaryCall<Request, Response> {
    return (call, callback) => {
      try {
        this.receive(call.request, call.metadata);
        callback(null, answer(call.request));
      } catch (failure) {
        callback(failure as ServerErrorResponse);
      }
    };
  }

  stream<Request, Response>(
    answers: (request: Request) => AsyncIterable<Response>,
  ): handleServerStreamingCall<Request, Response> {
    return async (call) => {
      call.on("cancelled", () => this.#leave());
      try {
        this.receive(call.request, call.metadata);
        for await (const answer of answers(call.request)) {
          if (call.cancelled) {
            return;
          }
          call.write(answer);
        }
        call.end();
      } catch (failure) {
        call.emit("error", failure);
      }
    };
  }
}
