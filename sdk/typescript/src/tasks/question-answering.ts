/** Question answering: `ask`. */

import * as pb from "../generated/seqway/v1/question_answering.js";
import { type GenerateOptions, generationMessage } from "../options.js";
import {
  type FinishReason,
  finishReason,
  type Timings,
  type TokenCounts,
  timings,
  tokenCounts,
} from "./generation.js";

/** How answers to a question are found. */
export interface AnswerOptions extends GenerateOptions {
  /** The most answers; 1 by default. */
  readonly topK?: number;
  /** The most tokens of an extracted answer; 30 by default. */
  readonly maxAnswerTokens?: number;
}

/** What `ask` takes beside the question. */
export interface AskOptions extends AnswerOptions {
  /** The text that holds the answer. */
  readonly context: string;
}

/** One answer and how sure the model is of it, from 0 to 1. */
export interface Answer extends Omit<pb.Answer, "finishReason"> {
  readonly finishReason: FinishReason;
}

/** The answers to a question, best first; empty when the context holds none. */
export interface AskResult extends Omit<pb.AnswerQuestionResponse, "answers" | "timings"> {
  readonly answers: readonly Answer[];
  /** The best answer; undefined when the context holds none. */
  readonly text: string | undefined;
  readonly tokenCounts: TokenCounts;
  readonly timings: Timings;
}

/** The request for one question. */
export function askRequest(question: string, options: AskOptions): pb.AnswerQuestionRequest {
  const { context, model, topK, maxAnswerTokens } = options;
  return pb.AnswerQuestionRequest.fromPartial({
    question,
    context,
    model,
    topK,
    maxAnswerTokens,
    options: generationMessage(options),
  });
}

/** What the response becomes. */
export function askResult(response: pb.AnswerQuestionResponse): AskResult {
  return {
    ...response,
    answers: response.answers.map(answerOf),
    text: response.answers[0]?.text,
    tokenCounts: tokenCounts(response.tokenCounts),
    timings: timings(response.timings),
  };
}

/** One answer. */
export function answerOf(message: pb.Answer): Answer {
  return { ...message, finishReason: finishReason(message.finishReason) };
}
