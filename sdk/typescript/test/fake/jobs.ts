/** A servicer that keeps jobs in memory and does a line each time that it is watched. */

import { type ServerErrorResponse, type ServerReadableStream, status } from "@grpc/grpc-js";
import * as pb from "seqway/v1";
import { errorInfo, failure } from "./failure.js";
import { Fake } from "./fake.js";

interface Row {
  readonly text?: string;
  readonly custom_id?: string;
}

export interface FakeJob {
  readonly id: string;
  readonly spec: pb.JobSpec;
  readonly data: Buffer;
  readonly rows: readonly Row[];
  done: number;
  cancelled: boolean;
  run: number;
}

/** `breaks` ends streams so many times in their middle. */
export class FakeJobs extends Fake {
  readonly jobs = new Map<string, FakeJob>();
  breaks = 0;
  /** Refuses an upload while it runs. */
  refusal: ServerErrorResponse | undefined;
  #made = 0;

  get last(): FakeJob {
    return this.find(`job${this.#made - 1}`);
  }

  find(id: string): FakeJob {
    const job = this.jobs.get(id);
    if (!job) {
      throw failure(status.NOT_FOUND, "there is no such job", [errorInfo("UNKNOWN_JOB")]);
    }
    return job;
  }

  async create(call: ServerReadableStream<pb.CreateJobRequest, unknown>): Promise<FakeJob> {
    let spec: pb.JobSpec | undefined;
    const pieces: Buffer[] = [];
    for await (const { part } of call as AsyncIterable<pb.CreateJobRequest>) {
      if (part?.$case === "spec") {
        spec = part.value;
        this.receive(spec, call.metadata);
      } else if (part) {
        pieces.push(part.value);
      }
      if (this.refusal && pieces.length > 0) {
        throw this.refusal;
      }
    }
    return this.#add(spec as pb.JobSpec, Buffer.concat(pieces));
  }

  #add(spec: pb.JobSpec, data: Buffer): FakeJob {
    const id = `job${this.#made++}`;
    const lines = data.toString().split("\n").filter(Boolean);
    const isJson = spec.input?.format !== pb.JobInputFormat.TEXT;
    const rows = isJson ? lines.map((line) => JSON.parse(line) as Row) : [];
    const job = { id, spec, data, rows, done: 0, cancelled: false, run: 1 };
    this.jobs.set(id, job);
    return job;
  }

  break(): void {
    if (this.breaks > 0) {
      this.breaks -= 1;
      throw failure(status.UNAVAILABLE, "a server was replaced");
    }
  }
}

export function jobServer(fake: FakeJobs): pb.JobServiceServer {
  return {
    createJob: (call, callback) => {
      fake.create(call).then(
        (job) => callback(null, { job: messageOf(job) }),
        (refusal) => callback(refusal),
      );
    },
    getJob: fake.unary(({ id }: pb.GetJobRequest) => ({ job: messageOf(fake.find(id)) })),
    listJobs: fake.unary(({ pageToken }: pb.ListJobsRequest) => {
      const all = [...fake.jobs.values()].reverse();
      const start = Number(pageToken);
      const nextPageToken = start + 2 < all.length ? String(start + 2) : "";
      return { jobs: all.slice(start, start + 2).map(messageOf), nextPageToken };
    }),
    watchJob: fake.stream(async function* ({ id, resumeToken }: pb.WatchJobRequest) {
      const job = fake.find(id);
      for (;;) {
        const token = String(job.done);
        if (token !== resumeToken) {
          yield { job: messageOf(job), resumeToken: token };
        }
        fake.break();
        await fake.hold();
        if (job.done === job.rows.length || job.cancelled) {
          return;
        }
        job.done += 1;
      }
    }),
    readResults: fake.stream(async function* (request: pb.ReadResultsRequest) {
      const job = fake.find(request.id);
      job.done = request.noWait ? job.done : job.rows.length;
      for (let index = Number(request.resumeToken); index < job.done; index += 2) {
        const results = job.rows
          .slice(index, Math.min(index + 2, job.done))
          .map((row, offset) => resultOf(row, index + offset))
          .filter(({ status }) => passes(status, request.filter));
        yield { results, resumeToken: String(index + 2) };
        fake.break();
      }
    }),
    cancelJob: fake.unary(({ id }: pb.CancelJobRequest) => {
      const job = fake.find(id);
      job.cancelled = job.done < job.rows.length;
      return { job: messageOf(job) };
    }),
    resumeJob: fake.unary(({ id }: pb.ResumeJobRequest) => {
      const job = fake.find(id);
      job.run += 1;
      job.cancelled = false;
      return { job: messageOf(job) };
    }),
    deleteJob: fake.unary(({ id }: pb.DeleteJobRequest) => {
      fake.jobs.delete(fake.find(id).id);
      return {};
    }),
  };
}

function messageOf({ id, spec, rows, done, cancelled, run }: FakeJob): pb.Job {
  const failed = rows.slice(0, done).filter(({ text }) => text === "bad").length;
  return pb.Job.fromPartial({
    id,
    state: stateOf(rows.length, done, failed, cancelled),
    counts: {
      total: rows.length,
      pending: cancelled ? 0 : rows.length - done,
      succeeded: done - failed,
      failed,
      cancelled: cancelled ? rows.length - done : 0,
    },
    task: "translation",
    sourceLanguageCode: "en",
    labels: spec.labels,
    priority: spec.priority,
    createTime: new Date(1_700_000_000_000),
    cancelRequested: cancelled,
    run,
    options: { generation: { num_beams: 4 } },
  });
}

function stateOf(total: number, done: number, failed: number, cancelled: boolean): pb.JobState {
  if (cancelled) {
    return pb.JobState.CANCELLED;
  }
  if (done < total) {
    return done ? pb.JobState.RUNNING : pb.JobState.QUEUED;
  }
  return failed ? pb.JobState.PARTIALLY_SUCCEEDED : pb.JobState.SUCCEEDED;
}

function resultOf({ text = "", custom_id: customId = "" }: Row, index: number): pb.JobResult {
  const same = { index, customId, tokenCounts: { input: 3, output: 4 } };
  if (text === "bad") {
    const error = { reason: "TEXT_TOO_LONG", message: "the text is too long" };
    return pb.JobResult.fromPartial({ ...same, error, status: pb.JobResultStatus.FAILED });
  }
  const finishReason = pb.FinishReason.EOS;
  const status = pb.JobResultStatus.SUCCEEDED;
  return pb.JobResult.fromPartial({ ...same, text: text.toUpperCase(), finishReason, status });
}

function passes(status: pb.JobResultStatus, filter: pb.JobResultFilter): boolean {
  const succeeded = status === pb.JobResultStatus.SUCCEEDED;
  const wanted = filter === pb.JobResultFilter.SUCCEEDED;
  return filter === pb.JobResultFilter.UNSPECIFIED || succeeded === wanted;
}
