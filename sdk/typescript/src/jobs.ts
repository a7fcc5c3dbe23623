/** Batch jobs of a client: `client.jobs`. */

import type { CallOptions, Calls } from "./calls.js";
import { choice } from "./choice.js";
import { time } from "./durations.js";
import * as pb from "./generated/seqway/v1/job.js";
import { JobStream, type JobStreamOptions, type Part } from "./job-stream.js";
import { type ClassifyOptions, classifyRequest } from "./tasks/classification.js";
import type { JobLines } from "./tasks/job-input.js";
import { createRequests, type JobOptions, jobSpec } from "./tasks/job-order.js";
import { type Job, type JobState, jobOf, type LineResult, lineOf } from "./tasks/jobs.js";
import { type AnswerOptions, askRequest } from "./tasks/question-answering.js";
import { type SummarizeOptions, summarizeRequest } from "./tasks/summarization.js";
import { type TranslateOptions, translateRequest } from "./tasks/translation.js";

/** Which jobs to list: those in one of the states, of the task, and with all the labels. */
export interface ListJobsOptions extends CallOptions {
  readonly states?: readonly JobState[];
  readonly task?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Which results to read. */
export interface ResultsOptions extends JobStreamOptions {
  /** All by default. */
  readonly which?: "all" | "succeeded" | "errors";
  /** Whether to wait for results that are not there yet, or to end at the first of these. */
  readonly wait?: boolean;
}

/** A new deadline of a job that is resumed: a time, or milliseconds from now. */
export interface ResumeJobOptions extends CallOptions {
  readonly deadline?: Date | number;
}

const methods = pb.JobServiceService;

// The most milliseconds that servers allow; they end calls without a deadline after ten minutes.
const LONGEST_UPLOAD = 86_400_000;

const FILTERS = {
  all: pb.JobResultFilter.UNSPECIFIED,
  succeeded: pb.JobResultFilter.SUCCEEDED,
  errors: pb.JobResultFilter.ERRORS,
};

/** Creates, watches and reads batch jobs.  A job takes the options of the call of its name. */
export class Jobs {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Hands over lines to translate; returns when job and lines are durable. */
  async translate(lines: JobLines, options: TranslateOptions & JobOptions): Promise<Job> {
    const value = translateRequest([], options);
    return this.#create(lines, { $case: "translate", value }, options);
  }

  /** Hands over lines to summarize; returns when job and lines are durable. */
  async summarize(lines: JobLines, options: SummarizeOptions & JobOptions = {}): Promise<Job> {
    const value = summarizeRequest([], options);
    return this.#create(lines, { $case: "summarize", value }, options);
  }

  /** Hands over lines to classify; returns when job and lines are durable. */
  async classify(lines: JobLines, options: ClassifyOptions & JobOptions = {}): Promise<Job> {
    const value = classifyRequest([], options);
    return this.#create(lines, { $case: "classify", value }, options);
  }

  /** Hands over lines with a question and a text each; returns when all is durable. */
  async ask(lines: JobLines, options: AnswerOptions & JobOptions = {}): Promise<Job> {
    const value = askRequest("", { ...options, context: "" });
    return this.#create(lines, { $case: "answerQuestion", value }, options);
  }

  /** The job as it is; `NotFoundError` when there is none of that id. */
  async get(id: string, options: CallOptions = {}): Promise<Job> {
    return jobOf((await this.#calls.unary(methods.getJob, { id }, options)).job);
  }

  /** The caller's jobs, the newest first. */
  async *list(options: ListJobsOptions = {}): AsyncGenerator<Job, void, undefined> {
    const { task, labels } = options;
    const states = options.states?.map((state) => choice("states", pb.JobState, state));
    let pageToken = "";
    do {
      const request = pb.ListJobsRequest.fromPartial({ states, task, labels, pageToken });
      const page = await this.#calls.unary(methods.listJobs, request, options);
      yield* page.jobs.map(jobOf);
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  /** The job each time that it has changed, until it has ended. */
  watch(id: string, options: JobStreamOptions = {}): JobStream<Job> {
    return new JobStream((resumeToken, call) => {
      return this.#calls.stream(methods.watchJob, { id, resumeToken }, call, watchPart);
    }, options);
  }

  /** The job when it has ended; `DeadlineError` after the timeout, which is none by default. */
  async wait(id: string, options: JobStreamOptions = {}): Promise<Job> {
    let job: Job | undefined;
    for await (const latest of this.watch(id, options)) {
      job = latest;
    }
    return job ?? this.get(id, options);
  }

  /** The final records in the order of the lines, also while the job runs. */
  results(id: string, options: ResultsOptions = {}): JobStream<LineResult> {
    const filter = choice("which", FILTERS, options.which) ?? FILTERS.all;
    const noWait = options.wait === false;
    return new JobStream((resumeToken, call) => {
      const request = { id, resumeToken, filter, noWait };
      return this.#calls.stream(methods.readResults, request, call, resultsPart);
    }, options);
  }

  /** Ends the job early: what is done stays; one that has ended stays as it is. */
  async cancel(id: string, options: CallOptions = {}): Promise<Job> {
    return jobOf((await this.#calls.unary(methods.cancelJob, { id }, options)).job);
  }

  /** Runs the lines again that have not succeeded, of a job that has ended. */
  async resume(id: string, options: ResumeJobOptions = {}): Promise<Job> {
    const deadline = options.deadline === undefined ? undefined : time(options.deadline);
    return jobOf((await this.#calls.unary(methods.resumeJob, { id, deadline }, options)).job);
  }

  /** Deletes a job that has ended, with its lines and results. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    await this.#calls.unary(methods.deleteJob, { id }, options);
  }

  async #create(
    lines: JobLines,
    task: NonNullable<pb.JobSpec["task"]>,
    options: JobOptions,
  ): Promise<Job> {
    const requests = createRequests(jobSpec(lines, task, options), lines);
    const limits = {
      ...options,
      timeout: Math.min(options.timeout ?? LONGEST_UPLOAD, LONGEST_UPLOAD),
    };
    return jobOf((await this.#calls.upload(methods.createJob, requests, limits)).job);
  }
}

function watchPart({ job, resumeToken }: pb.WatchJobResponse): Part<Job> {
  return { items: [jobOf(job)], resumeToken };
}

function resultsPart({ results, resumeToken }: pb.ReadResultsResponse): Part<LineResult> {
  return { items: results.map(lineOf), resumeToken };
}
