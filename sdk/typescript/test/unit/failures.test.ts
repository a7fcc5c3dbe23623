import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import * as seqway from "seqway";
import { badRequest, errorInfo, failure, retryInfo } from "../fake/failure.js";
import { all, connected } from "./setup.js";

const languages = { source: "en", target: "fr" };

async function thrown(call: Promise<unknown>): Promise<seqway.SeqwayError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof seqway.SeqwayError, String(error));
    return error;
  }
  return assert.fail("nothing was thrown");
}

const CLASSES: [status, new (message: string) => seqway.SeqwayError][] = [
  [status.INVALID_ARGUMENT, seqway.InvalidRequestError],
  [status.ALREADY_EXISTS, seqway.InvalidRequestError],
  [status.FAILED_PRECONDITION, seqway.InvalidRequestError],
  [status.NOT_FOUND, seqway.NotFoundError],
  [status.UNAUTHENTICATED, seqway.AuthenticationError],
  [status.PERMISSION_DENIED, seqway.AuthenticationError],
  [status.RESOURCE_EXHAUSTED, seqway.OverloadedError],
  [status.DEADLINE_EXCEEDED, seqway.DeadlineError],
  [status.CANCELLED, seqway.CancelledError],
  [status.INTERNAL, seqway.ServerError],
  [status.UNIMPLEMENTED, seqway.ServerError],
];

for (const [code, kind] of CLASSES) {
  test(`${status[code]} is a ${kind.name}, of a call and of a stream`, async (t) => {
    const { client, server } = await connected(t);
    server.translation.failure = failure(code, "no");
    const ofCall = await thrown(client.translate("x", languages));
    const ofStream = await thrown(all(client.streamTranslate("x", languages)));
    for (const error of [ofCall, ofStream]) {
      assert.ok(error instanceof kind);
      assert.equal(error.name, kind.name);
      assert.deepEqual([error.reason, error.message, error.domain], [status[code], "no", ""]);
    }
    // A server that leaves cancels calls, so these alone are tried again.
    const tries = server.translation.requests.length;
    assert.ok(code === status.CANCELLED ? tries > 2 : tries === 2);
  });
}

test("a bad request names reason and field", async (t) => {
  const { client, server } = await connected(t);
  const details = [errorInfo("EMPTY_TEXT"), badRequest("contents[1]", "the text is empty")];
  server.translation.failure = failure(status.INVALID_ARGUMENT, "bad", details);
  const error = await thrown(client.translate(["x", ""], languages));
  assert.ok(error instanceof seqway.InvalidRequestError);
  assert.deepEqual([error.reason, error.domain], ["EMPTY_TEXT", "seqway"]);
  assert.equal(error.field, "contents[1]");
  assert.equal(error.violations[0]?.description, "the text is empty");
  assert.deepEqual(error.metadata, { key: "value" });
  assert.equal(error.retryAfter, undefined);
});

test("an overload says when to ask again", async (t) => {
  const { client, server } = await connected(t, { retryOverloaded: false });
  const details = [errorInfo("OVERLOADED"), retryInfo(500)];
  server.translation.failure = failure(status.RESOURCE_EXHAUSTED, "busy", details);
  const error = await thrown(client.translate("x", languages));
  assert.ok(error instanceof seqway.OverloadedError);
  assert.equal(error.retryAfter, 500);
});

test("details that do not fit, or are none, leave the status as it is", async (t) => {
  const { client, server } = await connected(t);
  const fits = failure(status.NOT_FOUND, "no", [errorInfo("UNKNOWN_MODEL")]);
  const garbage = new Metadata();
  garbage.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
  for (const wrong of [
    { ...fits, code: status.INTERNAL },
    { ...fits, code: status.INTERNAL, metadata: garbage },
  ]) {
    server.translation.failure = wrong;
    const error = await thrown(client.translate("x", languages));
    assert.deepEqual([error.reason, error.message], ["INTERNAL", "no"]);
  }
});

for (const code of [status.UNAVAILABLE, status.CANCELLED]) {
  test(`${status[code]} is tried again, of a call and of a stream that has not begun`, async (t) => {
    const { client, server } = await connected(t);
    const moment = failure(code, "moment");
    server.translation.failures.push(moment, moment);
    assert.equal((await client.translate("x", languages)).text, "X");
    assert.equal(server.translation.requests.length, 3);
    server.translation.failures.push(moment, moment);
    const pieces = await all(client.streamTranslate("x", languages).text());
    assert.equal(pieces.join(""), "X");
  });
}

test("unavailable is not tried for ever", async (t) => {
  const { client, server } = await connected(t);
  const details = [errorInfo("TRITON_UNAVAILABLE")];
  server.translation.failure = failure(status.UNAVAILABLE, "down", details);
  const error = await thrown(client.translate("x", languages));
  assert.ok(error instanceof seqway.UnavailableError);
  assert.equal(error.reason, "TRITON_UNAVAILABLE");
  assert.equal(server.translation.requests.length, 4);
});

test("a server that pushes back is obeyed", async (t) => {
  const { client, server } = await connected(t);
  const never = { "grpc-retry-pushback-ms": "-1" };
  server.translation.failure = failure(status.UNAVAILABLE, "go away", [], never);
  assert.equal((await thrown(client.translate("x", languages))).message, "go away");
  assert.equal(server.translation.requests.length, 1);
  server.translation.failure = undefined;
  const soon = { "grpc-retry-pushback-ms": "900" };
  server.translation.failures.push(failure(status.UNAVAILABLE, "later", [], soon));
  const began = performance.now();
  assert.equal((await client.translate("x", languages)).text, "X");
  assert.ok(performance.now() - began >= 890); // the first pause of its own is 200 at most
});

test("a method that changes something is not tried again", async (t) => {
  const { client, server } = await connected(t);
  server.jobs.failure = failure(status.UNAVAILABLE, "down");
  await thrown(client.jobs.delete("job"));
  assert.equal(server.jobs.requests.length, 1);
});

test("no server is unavailable", async () => {
  using client = new seqway.Client({ address: "127.0.0.1:1" });
  const error = await thrown(client.translate("x", languages));
  assert.ok(error instanceof seqway.UnavailableError);
});

test("the timeout of a call, and of a client, is kept", async (t) => {
  const { client, server } = await connected(t, { timeout: 150 });
  server.translation.held = true;
  for (const timeout of [150, undefined]) {
    const error = await thrown(all(client.streamTranslate("hey", { ...languages, timeout })));
    assert.ok(error instanceof seqway.DeadlineError);
  }
});

test("a message too large is no overload, on either way", async (t) => {
  const { client, server } = await connected(t);
  const sent = await thrown(client.translate("x".repeat(17_000_000), languages));
  assert.ok(sent instanceof seqway.InvalidRequestError);
  assert.equal(sent.reason, "MESSAGE_TOO_LARGE");
  assert.equal(server.translation.requests.length, 0);
  const text = "ŉ".repeat(3_500_000); // upper case "ʼN": 3 bytes for 2
  const received = await thrown(client.translate([text, text.slice(0, 2_500_000)], languages));
  assert.ok(received instanceof seqway.InvalidRequestError);
  assert.equal(received.reason, "MESSAGE_TOO_LARGE");
});
