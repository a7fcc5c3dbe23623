/** A new job: its specification, and the messages that hand it over. */

import { randomUUID } from "node:crypto";
import type { CallOptions } from "../calls.js";
import { choice } from "../choice.js";
import { duration, time } from "../durations.js";
import * as pb from "../generated/seqway/v1/job.js";
import { inputMessage, type JobInputOptions, type JobLines, pieces } from "./job-input.js";

/** What every new job may take; `timeout` bounds the upload, and is a day by default. */
export interface JobOptions extends CallOptions, JobInputOptions {
  /** Calls with the same one make one job; by default one of its own. */
  readonly requestId?: string;
  /** Names and values that help to find the job. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Which of the caller's jobs goes first; "normal" by default. */
  readonly priority?: "low" | "normal" | "high";
  /** When the lines that are not done expire: a time, or milliseconds from now. */
  readonly deadline?: Date | number;
  /** Milliseconds that the job is kept after its end; by default as the server says. */
  readonly retention?: number;
}

const PRIORITIES = {
  low: pb.JobPriority.LOW,
  normal: pb.JobPriority.NORMAL,
  high: pb.JobPriority.HIGH,
};

type Task = NonNullable<pb.JobSpec["task"]>;

/** The specification of a job. */
export function jobSpec(lines: JobLines, task: Task, options: JobOptions): pb.JobSpec {
  const { deadline, retention } = options;
  return {
    requestId: options.requestId || randomUUID(),
    task,
    input: inputMessage(lines, options),
    labels: options.labels ?? {},
    priority: choice("priority", PRIORITIES, options.priority) ?? PRIORITIES.normal,
    deadline: deadline === undefined ? undefined : time(deadline),
    retention: retention === undefined ? undefined : duration(retention),
  };
}

/** The messages of the call: the specification, then the lines unless the server reads them. */
export async function* createRequests(
  spec: pb.JobSpec,
  lines: JobLines,
): AsyncGenerator<pb.CreateJobRequest, void, undefined> {
  yield { part: { $case: "spec", value: spec } };
  for await (const value of pieces(lines, spec.input?.textField ?? "")) {
    yield { part: { $case: "data", value } };
  }
}
