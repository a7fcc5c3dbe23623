/** Summarization: `summarize` and `streamSummarize`. */

import { choice } from "../choice.js";
import * as pb from "../generated/seqway/v1/summarization.js";
import { contentsOf, type GenerateOptions, generationMessage } from "../options.js";
import { unknownEvent } from "../status.js";
import {
  type FinishReason,
  finishReason,
  only,
  type StreamSummary,
  streamSummary,
  type Timings,
  type TokenCounts,
  timings,
  tokenCounts,
} from "./generation.js";

export type SummaryPart = pb.SummaryPart;
export type DroppedSpan = pb.DroppedSpan;

/** What `summarize` takes beside the text. */
export interface SummarizeOptions extends GenerateOptions {
  /** BCP-47 code of the language of the text; English by default. */
  readonly language?: string;
  /** How long the summary is to be; by default as the model likes. */
  readonly length?: "short" | "medium" | "long";
}

/**
 * The summary of one text.  One that is longer than the model takes is summarized in `parts`, and
 * their summaries again, `levels` times; what no summary has seen is `dropped`.
 */
export interface Summary extends Omit<pb.Summary, "finishReason"> {
  /** The worst of all generations. */
  readonly finishReason: FinishReason;
  readonly tokenCounts: TokenCounts;
}

/** The answer to a call: a summary for each text, in the order of the request. */
export class SummarizeResult {
  constructor(
    readonly summaries: readonly Summary[],
    readonly model: string,
    readonly timings: Timings,
  ) {}

  /** The summary of a call that held one text; throws when it held several: see `texts`. */
  get text(): string {
    return only(this.texts, "texts");
  }

  /** The summaries alone. */
  get texts(): readonly string[] {
    return this.summaries.map((summary) => summary.text);
  }
}

/** Append `text` to the summary of text `contentIndex`. */
export interface SummaryDelta {
  readonly type: "delta";
  readonly contentIndex: number;
  readonly text: string;
}

/** So many parts of text `contentIndex` are summarized; level 0 is the source itself. */
export interface SummaryProgress {
  readonly type: "progress";
  readonly contentIndex: number;
  readonly level: number;
  readonly partsDone: number;
  readonly partsTotal: number;
}

/** Text `contentIndex` is complete; `summary.text` is empty: the deltas were the text. */
export interface SummaryEnd {
  readonly type: "end";
  readonly contentIndex: number;
  readonly summary: Summary;
}

/** What a stream of summaries brings. */
export type SummarizeEvent = SummaryDelta | SummaryProgress | SummaryEnd | StreamSummary;

const LENGTHS = {
  short: pb.SummaryLength.SHORT,
  medium: pb.SummaryLength.MEDIUM,
  long: pb.SummaryLength.LONG,
};

/** The request; that of a stream has the same fields. */
export function summarizeRequest(
  text: string | readonly string[],
  options: SummarizeOptions,
): pb.SummarizeRequest & pb.StreamSummarizeRequest {
  return pb.SummarizeRequest.fromPartial({
    contents: contentsOf(text),
    languageCode: options.language,
    model: options.model,
    options: generationMessage(options),
    length: choice("length", LENGTHS, options.length),
  });
}

/** What the response of `summarize` becomes. */
export function summarizeResult(response: pb.SummarizeResponse): SummarizeResult {
  const summaries = response.summaries.map(summaryOf);
  return new SummarizeResult(summaries, response.model, timings(response.timings));
}

/** What a message of the stream becomes. */
export function summarizeEvent({ event }: pb.StreamSummarizeResponse): SummarizeEvent {
  switch (event?.$case) {
    case "delta":
      return { type: "delta", ...event.value };
    case "progress":
      return { type: "progress", ...event.value };
    case "end": {
      const { contentIndex, summary } = event.value;
      const empty = pb.Summary.fromPartial({});
      return { type: "end", contentIndex, summary: summaryOf(summary ?? empty) };
    }
    case "summary":
      return streamSummary(event.value);
    default:
      throw unknownEvent();
  }
}

function summaryOf(message: pb.Summary): Summary {
  return {
    ...message,
    finishReason: finishReason(message.finishReason),
    tokenCounts: tokenCounts(message.tokenCounts),
  };
}
