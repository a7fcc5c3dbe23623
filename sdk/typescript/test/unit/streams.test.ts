import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { CancelledError, NotFoundError, ServerError } from "seqway";
import { errorInfo, failure } from "../fake/failure.js";
import { VARIANT } from "../fake/tasks.js";
import { all, connected, reached } from "./setup.js";

const languages = { source: "en", target: "fr" };

test("a stream brings typed events and the summary", async (t) => {
  const { client } = await connected(t);
  const stream = client.streamTranslate("hey", languages);
  const early = stream.summary;
  const events = await all(stream);
  assert.equal(early, undefined);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["delta", "delta", "delta", "end", "summary"],
  );
  assert.deepEqual(events[0], { type: "delta", contentIndex: 0, segmentIndex: 0, text: "H" });
  assert.equal(stream.summary, events.at(-1));
  assert.equal(stream.summary?.model, VARIANT);
  assert.equal(stream.summary.timings.total, 1500);
  const end = events[3];
  assert.ok(end?.type === "end");
  assert.equal(end.translation.finishReason, "EOS");
});

test("the text of a stream is the answer of the call", async (t) => {
  const { client } = await connected(t);
  const pieces = await all(client.streamTranslate("héy\n😀", languages).text());
  assert.ok(pieces.length > 1);
  assert.equal(pieces.join(""), (await client.translate("héy\n😀", languages)).text);
});

test("a summary tells its progress", async (t) => {
  const { client } = await connected(t);
  const events = await all(client.streamSummarize(["long text"]));
  const progress = { type: "progress", contentIndex: 0, level: 0, partsDone: 1, partsTotal: 2 };
  assert.deepEqual(events[0], progress);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["progress", "delta", "end", "summary"],
  );
});

test("leaving the loop ends the call at the server", async (t) => {
  const { client, server } = await connected(t);
  server.translation.held = true;
  for await (const piece of client.streamTranslate("hey", languages).text()) {
    assert.equal(piece, "H");
    break;
  }
  await server.translation.left;
});

test("leaving the block ends the call at the server", async (t) => {
  const { client, server } = await connected(t);
  server.translation.held = true;
  {
    await using stream = client.streamTranslate("hey", languages);
    assert.equal((await stream[Symbol.asyncIterator]().next()).done, false);
  }
  await server.translation.left;
});

test("a stream that is cancelled says so to who reads it", async (t) => {
  const { client, server } = await connected(t);
  server.translation.held = true;
  const stream = client.streamTranslate("hey", languages);
  const read = assert.rejects(all(stream), CancelledError);
  await reached(server.translation);
  stream.cancel();
  await read;
  await server.translation.left;
});

test("a signal ends a stream at the server, with its reason as the cause", async (t) => {
  const { client, server } = await connected(t);
  server.translation.held = true;
  const stop = new AbortController();
  const stream = client.streamTranslate("hey", { ...languages, signal: stop.signal });
  const read = assert.rejects(all(stream), (error) => {
    assert.ok(error instanceof CancelledError);
    assert.match(String(error.cause), /enough/);
    return true;
  });
  await reached(server.translation);
  stop.abort(new Error("enough"));
  await read;
  await server.translation.left;
});

test("a signal that was aborted before lets nothing be sent", async (t) => {
  const { client, server } = await connected(t);
  const options = { ...languages, signal: AbortSignal.abort() };
  await assert.rejects(client.translate("x", options), CancelledError);
  assert.throws(() => client.streamTranslate("x", options), CancelledError);
  assert.equal(server.translation.requests.length, 0);
});

test("a signal ends a call that is tried again", async (t) => {
  const { client, server } = await connected(t);
  server.translation.failure = failure(status.UNAVAILABLE, "down");
  const options = { ...languages, signal: AbortSignal.timeout(20) };
  await assert.rejects(client.translate("x", options), CancelledError);
});

test("a signal that many calls share keeps none of them", async (t) => {
  const { client } = await connected(t);
  const { signal } = new AbortController();
  let listeners = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  t.mock.method(signal, "addEventListener", (...given: Parameters<typeof add>) => {
    listeners += 1;
    add.apply(signal, given);
  });
  t.mock.method(signal, "removeEventListener", (...given: Parameters<typeof remove>) => {
    listeners -= 1;
    remove.apply(signal, given);
  });
  await client.translate("x", { ...languages, signal });
  await all(client.streamTranslate("x", { ...languages, signal }));
  assert.equal(listeners, 0);
});

test("a failure that comes before anyone reads is thrown to who reads", async (t) => {
  const { client, server } = await connected(t);
  server.translation.failure = failure(status.NOT_FOUND, "no", [errorInfo("UNKNOWN_MODEL")]);
  const stream = client.streamTranslate("x", languages);
  await sleep(200); // long enough for the failure to come; the outcome is the same if it is not
  await assert.rejects(all(stream), NotFoundError);
});

test("an event that is not known asks for a newer client", async (t) => {
  const { client, server } = await connected(t);
  server.summarization.unknown = true;
  await assert.rejects(all(client.streamSummarize("x y")), (error) => {
    assert.ok(error instanceof ServerError);
    assert.equal(error.reason, "UNKNOWN_EVENT");
    return true;
  });
});
