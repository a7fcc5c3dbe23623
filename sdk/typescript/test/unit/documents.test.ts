import assert from "node:assert/strict";
import { test } from "node:test";
import { printed } from "../documents.js";
import { connected } from "./setup.js";

test("the examples of docs/clients.md run", async (t) => {
  const { server } = await connected(t);
  const shown = await printed("../../docs/clients.md", server.address);
  assert.match(shown, /^A SMALL TEXT EDITOR\. en-fr_int8 1500$/m);
  assert.match(shown, /^SUCCEEDED 2 of 2$/m);
  for (const fake of [server.translation, server.summarization]) {
    assert.ok(fake.requests.length > 1);
  }
  for (const fake of [server.classification, server.questions]) {
    assert.equal(fake.requests.length, 1);
  }
});
