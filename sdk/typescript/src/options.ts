/** What calls take that use a model, and how answers are generated. */

import type { CallOptions } from "./calls.js";
import { choice } from "./choice.js";
import * as pb from "./generated/seqway/v1/generation.js";

/** What the calls of a task take. */
export interface ModelOptions extends CallOptions {
  /** A model, or one variant of it; by default the server's choice. */
  readonly model?: string;
}

/** What calls take that generate text. */
export interface GenerateOptions extends ModelOptions {
  /** How to generate. */
  readonly options?: GenerationOptions;
  /** Short for the option of that name. */
  readonly maxNewTokens?: number;
}

/** Tokens are drawn at random; what is not set is the server's default. */
export interface Sampling {
  /** Divides the logits; 0.001 to 1,000. */
  readonly temperature?: number;
  /** Only the k most probable tokens are drawn from; 0 allows all. */
  readonly topK?: number;
  /** Only the most probable tokens that together reach this probability are drawn from. */
  readonly topP?: number;
  /** The same seed gives the same answer; from 0 to 2^64 - 1. */
  readonly seed?: number | bigint;
}

/**
 * How to generate; what is not set is as the checkpoint's generation_config says.  The server checks
 * ranges and contradictions: `InvalidRequestError` names the field.
 */
export interface GenerationOptions {
  /** The most tokens of one segment; 0 is the model's own limit. */
  readonly maxNewTokens?: number;
  /** The fewest before the end of sequence is allowed. */
  readonly minNewTokens?: number;
  /** Beams of the search, 1 to 8; 1 is greedy decoding. */
  readonly numBeams?: number;
  /** Beam search ranks by the log-probability over length to this power. */
  readonly lengthPenalty?: number;
  /** When a beam search stops; as in transformers. */
  readonly earlyStopping?: boolean | "never";
  /** How many answers are returned (n-best), 1 to `numBeams`. */
  readonly numHypotheses?: number;
  /** Draws tokens; `{}` with the server's defaults. */
  readonly sampling?: Sampling;
  /** No n-gram of so many tokens comes twice; 0 allows all. */
  readonly noRepeatNgramSize?: number;
  /** Makes tokens that have come less likely; 1 changes nothing. */
  readonly repetitionPenalty?: number;
  /** What the answer begins with. */
  readonly targetPrefix?: string;
  /** Whether each token's log-probability is returned. */
  readonly tokenLogProbs?: boolean;
  /** Whether an answer that runs in a loop is stopped; it is by default. */
  readonly stopRepetition?: boolean;
  /** "bulk" fills what interactive work leaves free. */
  readonly priority?: "interactive" | "bulk";
}

const EARLY_STOPPING = {
  true: pb.EarlyStopping.TRUE,
  false: pb.EarlyStopping.FALSE,
  never: pb.EarlyStopping.NEVER,
};
const PRIORITIES = { interactive: pb.Priority.INTERACTIVE, bulk: pb.Priority.BULK };

/** One text or several, as an array. */
export function contentsOf(text: string | readonly string[]): readonly string[] {
  return typeof text === "string" ? [text] : text;
}

/** The message of a call's options. */
export function generationMessage(given: GenerateOptions): pb.GenerationOptions {
  const { sampling, earlyStopping, priority, ...others } = given.options ?? {};
  const limit = given.maxNewTokens ?? others.maxNewTokens;
  if (limit !== (others.maxNewTokens ?? limit)) {
    throw new TypeError("maxNewTokens is given twice: to the call and in its options");
  }
  return pb.GenerationOptions.fromPartial({
    ...others,
    ...(limit !== undefined && { maxNewTokens: limit }),
    ...(sampling && { sampling }),
    earlyStopping: choice("options.early_stopping", EARLY_STOPPING, earlyStopping),
    priority: choice("options.priority", PRIORITIES, priority),
  });
}
