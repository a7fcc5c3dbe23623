/** Batch jobs: what they are made of, and what their messages become. */

import { short } from "../choice.js";
import type * as pb from "../generated/seqway/v1/job.js";
import type { LabelScore } from "./classification.js";
import { type FinishReason, finishReason, type TokenCounts, tokenCounts } from "./generation.js";
import { type Answer, answerOf } from "./question-answering.js";

/** Where a job stands. */
export type JobState =
  | "UNSPECIFIED"
  | "QUEUED"
  | "RUNNING"
  | "FINALIZING"
  | "SUCCEEDED"
  | "PARTIALLY_SUCCEEDED"
  | "FAILED"
  | "CANCELLED"
  | "EXPIRED";

/** What became of a line. */
export type LineStatus = "UNSPECIFIED" | "SUCCEEDED" | "FAILED" | "CANCELLED" | "EXPIRED";

/** How many lines are where; `total` is the sum of the others but `done`. */
export interface JobCounts {
  readonly total: number;
  readonly pending: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly expired: number;
  /** Lines that have their final record. */
  readonly done: number;
}

/** A batch job as it was when the server was asked. */
export interface Job
  extends Omit<
    pb.Job,
    "state" | "counts" | "priority" | "createTime" | "sourceLanguageCode" | "targetLanguageCode"
  > {
  readonly state: JobState;
  /** Whether the job has ended, in whatever way. */
  readonly ended: boolean;
  readonly counts: JobCounts;
  readonly priority: "UNSPECIFIED" | "LOW" | "NORMAL" | "HIGH";
  readonly createTime: Date;
  /** Empty unless it translates. */
  readonly sourceLanguage: string;
  readonly targetLanguage: string;
}

/** Why a line did not succeed; `reason` is one of docs/errors.md. */
export type LineError = pb.JobError;

/** The final record of one line; `index` is its place in the input, from 0. */
export interface LineResult
  extends Omit<pb.JobResult, "index" | "status" | "answers" | "finishReason"> {
  readonly index: number;
  readonly status: LineStatus;
  /** Whether there is an answer. */
  readonly succeeded: boolean;
  /** Of a classification, the best first. */
  readonly labels: readonly LabelScore[];
  readonly answers: readonly Answer[];
  readonly finishReason: FinishReason;
  readonly tokenCounts: TokenCounts;
}

const ENDS: ReadonlySet<JobState> = new Set<JobState>([
  "SUCCEEDED",
  "PARTIALLY_SUCCEEDED",
  "FAILED",
  "CANCELLED",
  "EXPIRED",
]);

/** What a message of a job becomes. */
export function jobOf(message: pb.Job | undefined): Job {
  if (!message) {
    throw new TypeError("the server's answer holds no job");
  }
  const { sourceLanguageCode, targetLanguageCode, ...same } = message;
  const state = short("JOB_STATE", message.state);
  return {
    ...same,
    state,
    ended: ENDS.has(state),
    counts: countsOf(message.counts),
    priority: short("JOB_PRIORITY", message.priority),
    createTime: message.createTime ?? new Date(0),
    sourceLanguage: sourceLanguageCode,
    targetLanguage: targetLanguageCode,
  };
}

function countsOf(counts: pb.JobCounts | undefined): JobCounts {
  const total = Number(counts?.total ?? 0);
  const pending = Number(counts?.pending ?? 0);
  return {
    total,
    pending,
    succeeded: Number(counts?.succeeded ?? 0),
    failed: Number(counts?.failed ?? 0),
    cancelled: Number(counts?.cancelled ?? 0),
    expired: Number(counts?.expired ?? 0),
    done: total - pending,
  };
}

/** What the message of a line becomes. */
export function lineOf(message: pb.JobResult): LineResult {
  const status = short("JOB_RESULT_STATUS", message.status);
  return {
    ...message,
    index: Number(message.index),
    status,
    succeeded: status === "SUCCEEDED",
    answers: message.answers.map(answerOf),
    finishReason: finishReason(message.finishReason),
    tokenCounts: tokenCounts(message.tokenCounts),
  };
}
