/** A running streaming call as an iterable of events. */

import type { ResponseStream } from "./response-stream.js";
import type { StreamSummary } from "./tasks/generation.js";

interface Delta {
  readonly type: "delta";
  readonly text: string;
}

type Event = Delta | StreamSummary | { readonly type: "progress" | "end" };

/**
 * Iterates over the events of a call as they come, once; `text()` gives the text alone.  Leaving the
 * loop, or `cancel()`, ends the call at the server too.  A failure is thrown by the iteration.
 */
export class EventStream<Kind extends Event> implements AsyncIterable<Kind>, AsyncDisposable {
  readonly #events: ResponseStream<Kind>;
  #summary: StreamSummary | undefined;

  constructor(events: ResponseStream<Kind>) {
    this.#events = events;
  }

  /** The call's summary, when the stream has come to its end. */
  get summary(): StreamSummary | undefined {
    return this.#summary;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Kind, void, undefined> {
    for await (const event of this.#events as AsyncIterable<Event>) {
      if (event.type === "summary") {
        this.#summary = event;
      }
      yield event as Kind;
    }
  }

  /** The pieces of the answer, of a call that holds one text. */
  async *text(): AsyncGenerator<string, void, undefined> {
    for await (const event of this as AsyncIterable<Event>) {
      if (event.type === "delta") {
        yield event.text;
      }
    }
  }

  /** Ends the call; nothing happens when it has ended already. */
  cancel(): void {
    this.#events.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }
}
