import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServerErrorResponse, status } from "@grpc/grpc-js";
import { CancelledError, OverloadedError } from "seqway";
import { errorInfo, failure, retryInfo } from "../fake/failure.js";
import { all, connected, reached } from "./setup.js";

const languages = { source: "en", target: "fr" };
const HINT = 50;

function overloaded(hint = HINT, reason = "OVERLOADED"): ServerErrorResponse {
  return failure(status.RESOURCE_EXHAUSTED, "busy", [errorInfo(reason), retryInfo(hint)]);
}

test("a refused call is sent again after the hint, and so is a stream", async (t) => {
  const { client, server } = await connected(t);
  server.translation.failures.push(...Array.from({ length: 7 }, () => overloaded()));
  const began = performance.now();
  assert.equal((await client.translate("x", languages)).text, "X");
  assert.ok(performance.now() - began >= 7 * (HINT - 1));
  assert.equal(server.translation.requests.length, 8);
  server.translation.failures.push(...Array.from({ length: 7 }, () => overloaded()));
  const stream = client.streamTranslate("hey", languages);
  assert.equal((await all(stream.text())).join(""), "HEY");
  assert.equal(server.translation.requests.length, 16);
});

for (const [reason, hint] of [
  ["OVERLOADED", 900],
  ["QUOTA_EXCEEDED", HINT],
] as const) {
  test(`${reason} is told at once to who cannot wait`, async (t) => {
    const { client, server } = await connected(t, { timeout: 800 });
    server.translation.failure = overloaded(hint, reason);
    await assert.rejects(client.translate("x", languages), OverloadedError);
    await assert.rejects(all(client.streamTranslate("x", languages)), OverloadedError);
    assert.equal(server.translation.requests.length, 2);
  });
}

test("the refusal is thrown when the timeout is near", async (t) => {
  const { client, server } = await connected(t, { timeout: 400 });
  server.translation.failure = overloaded();
  await assert.rejects(client.translate("x", languages), OverloadedError);
  await assert.rejects(all(client.streamTranslate("x", languages)), OverloadedError);
  assert.ok(server.translation.requests.length > 2);
});

test("a call and a stream that wait end by their signal", async (t) => {
  const { client, server } = await connected(t);
  server.translation.failure = overloaded(20_000);
  for (const [index, begin] of [
    (signal: AbortSignal) => client.translate("x", { ...languages, signal }),
    (signal: AbortSignal) => all(client.streamTranslate("x", { ...languages, signal })),
  ].entries()) {
    const controller = new AbortController();
    const waited = assert.rejects(begin(controller.signal), (error) => {
      assert.ok(error instanceof CancelledError);
      assert.equal(error.cause, "enough");
      return true;
    });
    await reached(server.translation, index + 1);
    await sleep(100); // long enough for the refusal to come; the outcome is the same if it is not
    controller.abort("enough");
    await waited;
  }
  assert.equal(server.translation.requests.length, 2);
});

test("a thousand calls at once are answered by a server that takes a few at a time", async (t) => {
  const { client } = await connected(t, {}, { "grpc.max_concurrent_streams": 16 });
  const answers = await Promise.all(
    Array.from({ length: 1000 }, () => client.translate("x", languages)),
  );
  assert.equal(answers.filter(({ text }) => text === "X").length, 1000);
});
