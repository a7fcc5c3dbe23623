/** What the answers of all tasks are made of. */

import { short } from "../choice.js";
import { milliseconds } from "../durations.js";
import type * as pb from "../generated/seqway/v1/generation.js";
import type { Hypothesis, TokenLogProb } from "../generated/seqway/v1/generation.js";
import type { StreamSummarizeSummary } from "../generated/seqway/v1/summarization.js";
import type { StreamSummary as TranslateSummary } from "../generated/seqway/v1/translation.js";

export type { Hypothesis, TokenLogProb };

/** Why a generation ended, from the regular end to the worst. */
export type FinishReason = "UNSPECIFIED" | "EOS" | "LENGTH" | "REPETITION" | "CANCELLED" | "ERROR";

/** Tokens read and made, the ends of sequence included. */
export interface TokenCounts {
  readonly input: number;
  readonly output: number;
}

/**
 * Where the time of a call went, in milliseconds, as the gateway saw it: `queue` is the longest that
 * a part waited; `firstToken` and `total` count from the arrival.
 */
export interface Timings {
  readonly queue: number;
  readonly firstToken: number;
  readonly total: number;
}

/** The last event of a stream, sent once: the worst finish reason and the counts of all texts. */
export interface StreamSummary {
  readonly type: "summary";
  readonly finishReason: FinishReason;
  readonly tokenCounts: TokenCounts;
  readonly timings: Timings;
  readonly model: string;
}

/** A message's finish reason, in short. */
export function finishReason(value: pb.FinishReason): FinishReason {
  return short("FINISH_REASON", value);
}

/** The counts; 0 where the message has none. */
export function tokenCounts(message: pb.TokenCounts | undefined): TokenCounts {
  return message ?? { input: 0, output: 0 };
}

/** The timings, in milliseconds. */
export function timings(message: pb.Timings | undefined): Timings {
  return {
    queue: milliseconds(message?.queue),
    firstToken: milliseconds(message?.firstToken),
    total: milliseconds(message?.total),
  };
}

/** The closing message of a stream. */
export function streamSummary(message: TranslateSummary | StreamSummarizeSummary): StreamSummary {
  return {
    type: "summary",
    finishReason: finishReason(message.finishReason),
    tokenCounts: tokenCounts(message.tokenCounts),
    timings: timings(message.timings),
    model: message.model,
  };
}

/** The answer of a call that held one text; an error that points to `instead` otherwise. */
export function only<Answer>(answers: readonly Answer[], instead: string): Answer {
  const [answer, ...others] = answers;
  if (answer === undefined || others.length > 0) {
    throw new TypeError(`${answers.length} texts were answered: use .${instead}`);
  }
  return answer;
}
