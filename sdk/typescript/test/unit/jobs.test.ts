import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import {
  CancelledError,
  Client,
  DeadlineError,
  InvalidRequestError,
  type JobLines,
  NotFoundError,
  UnavailableError,
} from "seqway";
import { JobInputFormat } from "seqway/v1";
import { errorInfo, failure } from "../fake/failure.js";
import { all, connected } from "./setup.js";

const languages = { source: "en", target: "fr" };
const LINES = [{ text: "one", custom_id: "a" }, { text: "bad" }, { text: "three" }];

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "seqway-"));
  t.after(() => rm(made, { recursive: true }));
  return made;
}

test("a job from creation to deletion", async (t) => {
  const { client, server } = await connected(t, { tenant: "me" });
  const job = await client.jobs.translate(LINES, { ...languages, labels: { a: "b" } });
  assert.deepEqual(
    [job.state, job.ended, job.counts.total, job.counts.done],
    ["QUEUED", false, 3, 0],
  );
  assert.deepEqual([job.sourceLanguage, job.labels, job.priority], ["en", { a: "b" }, "NORMAL"]);
  assert.equal(job.createTime.getTime(), 1_700_000_000_000);
  assert.deepEqual(job.options, { generation: { num_beams: 4 } });
  const ended = await client.jobs.wait(job.id);
  assert.deepEqual([ended.state, ended.ended], ["PARTIALLY_SUCCEEDED", true]);
  assert.deepEqual([ended.counts.succeeded, ended.counts.failed, ended.counts.done], [2, 1, 3]);
  const [first, second, third] = await all(client.jobs.results(job.id));
  assert.deepEqual([first?.index, first?.customId, first?.text], [0, "a", "ONE"]);
  assert.deepEqual([second?.status, second?.succeeded], ["FAILED", false]);
  assert.equal(second?.error?.reason, "TEXT_TOO_LONG");
  assert.deepEqual([third?.succeeded, third?.finishReason], [true, "EOS"]);
  const indexes = async (which: "errors" | "succeeded") =>
    (await all(client.jobs.results(job.id, { which }))).map(({ index }) => index);
  assert.deepEqual(await indexes("errors"), [1]);
  assert.deepEqual(await indexes("succeeded"), [0, 2]);
  assert.equal((await client.jobs.resume(job.id, { deadline: 1000 })).run, 2);
  assert.equal((await client.jobs.cancel(job.id)).id, job.id);
  await client.jobs.delete(job.id);
  await assert.rejects(client.jobs.get(job.id), NotFoundError);
  assert.deepEqual(server.jobs.metadata[0]?.get("x-seqway-tenant"), ["me"]);
});

test("every task has its options", async (t) => {
  const { client, server } = await connected(t);
  await client.jobs.translate(["x"], { ...languages, glossary: { a: "b" }, model: "m" });
  await client.jobs.summarize(["x"], { length: "short" });
  await client.jobs.classify(["x"], { topK: 2, threshold: 0.5 });
  await client.jobs.ask([{ question: "q", text: "t" }], { topK: 3, questionField: "q" });
  const [translate, summarize, classify, ask] = [...server.jobs.jobs.values()].map(
    ({ spec }) => spec,
  );
  assert.ok(translate?.task?.$case === "translate");
  assert.equal(translate.task.value.sourceLanguageCode, "en");
  assert.equal(translate.task.value.glossary[0]?.targetTerm, "b");
  assert.equal(translate.task.value.model, "m");
  assert.ok(summarize?.task?.$case === "summarize");
  assert.equal(summarize.task.value.length, "SUMMARY_LENGTH_SHORT");
  assert.ok(classify?.task?.$case === "classify");
  assert.deepEqual([classify.task.value.topK, classify.task.value.threshold], [2, 0.5]);
  assert.ok(ask?.task?.$case === "answerQuestion");
  assert.deepEqual([ask.task.value.topK, ask.input?.questionField], [3, "q"]);
  const ids = new Set([translate, summarize, classify, ask].map(({ requestId }) => requestId));
  assert.equal(ids.size, 4);
});

test("the lines may be many things", async (t) => {
  const { client, server } = await connected(t);
  const file = join(await folder(t), "lines.jsonl");
  const bytes = Buffer.from('{"text":"a"}\n'.repeat(50_000));
  await writeFile(file, bytes);
  async function* objects() {
    yield { text: "0" };
    yield { text: "1" };
  }
  const inputs: [JobLines, Buffer][] = [
    [{ file }, bytes],
    [Readable.from([bytes.subarray(0, 26)]), bytes.subarray(0, 26)],
    [[bytes], bytes],
    [["é", "b"], Buffer.from('{"text":"é"}\n{"text":"b"}\n')],
    [objects(), Buffer.from('{"text":"0"}\n{"text":"1"}\n')],
    ["s3://bucket/lines.csv", Buffer.alloc(0)],
  ];
  for (const [lines, sent] of inputs) {
    await client.jobs.summarize(lines);
    assert.ok(server.jobs.last.data.equals(sent));
  }
  assert.equal(server.jobs.last.spec.input?.uri, "s3://bucket/lines.csv");
  assert.equal(server.jobs.last.spec.input.format, JobInputFormat.UNSPECIFIED);
  await client.jobs.summarize(["x"], { textField: "review" });
  assert.equal(String(server.jobs.last.data), '{"review":"x"}\n');
});

test("the name of a file tells its format", async (t) => {
  const { client, server } = await connected(t);
  const home = await folder(t);
  for (const [name, format] of [
    ["a.csv", JobInputFormat.CSV],
    ["a.TSV.gz", JobInputFormat.TSV],
    ["a.txt.zst", JobInputFormat.TEXT],
    ["a.parquet", JobInputFormat.PARQUET],
    ["a", JobInputFormat.JSON_LINES],
    ["a.ndjson", JobInputFormat.JSON_LINES],
    ["a.json.gz", JobInputFormat.JSON_LINES],
    ["a.text", JobInputFormat.TEXT],
  ] as const) {
    const file = join(home, name);
    await writeFile(file, "{}");
    await client.jobs.summarize({ file });
    assert.equal(server.jobs.last.spec.input?.format, format);
  }
});

test("a name that tells no format is refused with what is taken", async (t) => {
  const { client, server } = await connected(t);
  for (const name of ["a.md", "a.srt", "a.xlsx", "a.jsonl.bz2", "a.dat.gz"]) {
    await assert.rejects(client.jobs.summarize({ file: name }), (error: unknown) => {
      assert.ok(error instanceof InvalidRequestError);
      assert.equal(error.field, "format");
      assert.match(error.message, /taken are JSON Lines \(\.jsonl\), CSV/);
      return true;
    });
  }
  assert.equal(server.jobs.requests.length, 0);
});

test("what is no input is refused, and what the lines throw is thrown", async (t) => {
  const { client, server } = await connected(t);
  await assert.rejects(client.jobs.summarize("a text"), /no URI/);
  const wrong = [{ priority: "urgent" }, { format: "doc" }, { compression: "lz4" }] as object[];
  for (const options of wrong) {
    await assert.rejects(client.jobs.summarize(["x"], options), InvalidRequestError);
  }
  assert.equal(server.jobs.requests.length, 0);
  await assert.rejects(client.jobs.summarize({ file: "/missing" }), { code: "ENOENT" });
  function* lines() {
    yield "one";
    throw new RangeError("mine");
  }
  await assert.rejects(client.jobs.summarize(lines()), /mine/);
  assert.equal(server.jobs.jobs.size, 0);
});

test("a refusal ends the upload and its source", async (t) => {
  const { client, server } = await connected(t);
  server.jobs.refusal = failure(status.INVALID_ARGUMENT, "no", [errorInfo("INVALID_INPUT")]);
  let closed = false;
  function* endless() {
    try {
      for (;;) {
        yield "x".repeat(100_000);
      }
    } finally {
      closed = true;
    }
  }
  await assert.rejects(client.jobs.summarize(endless()), (error) => {
    assert.ok(error instanceof InvalidRequestError);
    assert.equal(error.reason, "INVALID_INPUT");
    return true;
  });
  await new Promise(setImmediate);
  assert.ok(closed);
});

test("times are absolute or from now, in milliseconds", async (t) => {
  const { client, server } = await connected(t);
  const when = new Date(Date.UTC(2030, 0, 1));
  await client.jobs.summarize(["x"], { deadline: when, retention: 1500, priority: "high" });
  const { spec } = server.jobs.last;
  assert.equal(spec.deadline?.getTime(), when.getTime());
  assert.deepEqual(spec.retention, { seconds: 1n, nanos: 500_000_000 });
  assert.equal(spec.priority, "JOB_PRIORITY_HIGH");
  await client.jobs.summarize(["x"], { deadline: 3_600_000 });
  const ahead = (server.jobs.last.spec.deadline?.getTime() ?? 0) - Date.now();
  assert.ok(3_500_000 < ahead && ahead <= 3_600_000);
});

test("streams go on when a server is replaced", async (t) => {
  const { client, server } = await connected(t);
  const job = await client.jobs.translate(Array(7).fill("x"), languages);
  server.jobs.breaks = 3;
  const pending = (await all(client.jobs.watch(job.id))).map(({ counts }) => counts.pending);
  assert.deepEqual(pending, [7, 6, 5, 4, 3, 2, 1, 0]);
  assert.equal(server.jobs.breaks, 0);
  server.jobs.breaks = 3;
  const indexes = (await all(client.jobs.results(job.id))).map(({ index }) => index);
  assert.deepEqual(indexes, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal(server.jobs.breaks, 0);
});

test("a stream goes on when its connection breaks and a server comes back", async (t) => {
  const { client, server } = await connected(t);
  const job = await client.jobs.translate(["x", "y", "z"], languages);
  server.jobs.held = true;
  const pending: number[] = [];
  let back = Promise.resolve();
  try {
    for await (const { counts } of client.jobs.watch(job.id)) {
      pending.push(counts.pending);
      if (server.jobs.held) {
        server.stop();
        server.jobs.held = false;
        back = sleep(300).then(() => server.start(server.address));
      }
    }
  } finally {
    await back;
  }
  assert.deepEqual(pending, [3, 2, 1, 0]);
});

test("a token goes on behind what was read", async (t) => {
  const { client } = await connected(t);
  const job = await client.jobs.translate(Array(5).fill("x"), languages);
  const stream = client.jobs.results(job.id);
  const lines = stream[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value?.index;
  assert.deepEqual([await next(), await next()], [0, 1]);
  const { resumeToken } = stream;
  assert.equal(await next(), 2);
  assert.equal(stream.resumeToken, resumeToken); // the message is not read whole
  await lines.return(undefined);
  const rest = await all(client.jobs.results(job.id, { resumeToken }));
  assert.deepEqual(
    rest.map(({ index }) => index),
    [2, 3, 4],
  );
});

test("results that are not there yet need not be waited for", async (t) => {
  const { client } = await connected(t);
  const job = await client.jobs.translate(["x"], languages);
  assert.deepEqual(await all(client.jobs.results(job.id, { wait: false })), []);
});

test("patience ends", async () => {
  using client = new Client({ address: "127.0.0.1:9" });
  const began = performance.now();
  await assert.rejects(all(client.jobs.results("job", { patience: 300 })), UnavailableError);
  assert.ok(performance.now() - began >= 300);
});

test("a signal, and cancel(), end a stream that waits for a server", async () => {
  using client = new Client({ address: "127.0.0.1:9" });
  const signal = AbortSignal.timeout(100);
  await assert.rejects(all(client.jobs.watch("job", { signal })), CancelledError);
  const stream = client.jobs.watch("job");
  setTimeout(() => stream.cancel(), 100);
  assert.deepEqual(await all(stream), []);
});

test("other failures, and the timeout, are thrown at once", async (t) => {
  const { client, server } = await connected(t);
  await assert.rejects(all(client.jobs.results("nope")), { reason: "UNKNOWN_JOB" });
  const job = await client.jobs.translate(["x", "y"], languages);
  server.jobs.held = true;
  await assert.rejects(client.jobs.wait(job.id, { timeout: 100 }), DeadlineError);
});

test("cancel() ends a stream that has begun, and the call at the server", async (t) => {
  const { client, server } = await connected(t);
  const job = await client.jobs.translate(["x", "y"], languages);
  server.jobs.held = true;
  const stream = client.jobs.watch(job.id);
  const seen = [];
  for await (const latest of stream) {
    seen.push(latest);
    setTimeout(() => stream.cancel(), 20);
  }
  assert.equal(seen.length, 1);
  await server.jobs.left;
});

test("all pages are listed", async (t) => {
  const { client, server } = await connected(t);
  for (const text of ["a", "b", "c", "d", "e"]) {
    await client.jobs.summarize([text]);
  }
  const ids = (await all(client.jobs.list())).map(({ id }) => id);
  assert.deepEqual(ids, ["job4", "job3", "job2", "job1", "job0"]);
  // @ts-expect-error - no such state
  await assert.rejects(all(client.jobs.list({ states: ["DONE"] })), InvalidRequestError);
  await all(client.jobs.list({ states: ["FAILED"], task: "summarization", labels: { a: "b" } }));
  assert.deepEqual(server.jobs.requests.at(-1), {
    pageSize: 0,
    pageToken: "4",
    states: ["JOB_STATE_FAILED"],
    task: "summarization",
    labels: { a: "b" },
  });
});
