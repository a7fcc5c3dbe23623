/**
 * Client of Seqway, a self-hosted service that translates, summarizes, classifies and answers.
 *
 * @example
 * const client = new Client({ address: "127.0.0.1:50051" });
 * const { text } = await client.translate("A text editor.", { source: "en", target: "fr" });
 * client.close();
 */

export type { CallOptions } from "./calls.js";
export { Client, type Texts } from "./client.js";
export type { ClientOptions } from "./connection.js";
export type { TlsOptions } from "./credentials.js";
export {
  AuthenticationError,
  CancelledError,
  DeadlineError,
  type FieldViolation,
  InvalidRequestError,
  NotFoundError,
  OverloadedError,
  SeqwayError,
  ServerError,
  UnavailableError,
} from "./errors.js";
export type { EventStream } from "./event-stream.js";
export type { JobStream, JobStreamOptions } from "./job-stream.js";
export type { Jobs, ListJobsOptions, ResultsOptions, ResumeJobOptions } from "./jobs.js";
export type { GenerateOptions, GenerationOptions, ModelOptions, Sampling } from "./options.js";
export type {
  Classification,
  ClassifyOptions,
  ClassifyResult,
  LabelScore,
} from "./tasks/classification.js";
export type {
  DetectedLanguage,
  DetectOptions,
  DetectResult,
  LanguageCandidate,
} from "./tasks/detection.js";
export type {
  FinishReason,
  Hypothesis,
  StreamSummary,
  Timings,
  TokenCounts,
  TokenLogProb,
} from "./tasks/generation.js";
export type { JobInputOptions, JobLine, JobLines } from "./tasks/job-input.js";
export type { JobOptions } from "./tasks/job-order.js";
export type {
  Job,
  JobCounts,
  JobState,
  LineError,
  LineResult,
  LineStatus,
} from "./tasks/jobs.js";
export type { LanguagePair, Model } from "./tasks/models.js";
export type { Answer, AnswerOptions, AskOptions, AskResult } from "./tasks/question-answering.js";
export type {
  DroppedSpan,
  SummarizeEvent,
  SummarizeOptions,
  SummarizeResult,
  Summary,
  SummaryDelta,
  SummaryEnd,
  SummaryPart,
  SummaryProgress,
} from "./tasks/summarization.js";
export type {
  GlossaryEntry,
  GlossaryMatch,
  MimeType,
  Pivot,
  Segment,
  TextDelta,
  TextEnd,
  TranslateEvent,
  TranslateOptions,
  TranslateResult,
  Translation,
} from "./tasks/translation.js";
