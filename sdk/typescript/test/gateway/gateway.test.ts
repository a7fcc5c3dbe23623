/** The client over a real stack, whose gateway is at SEQWAY_ADDRESS. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { Client, InvalidRequestError, NotFoundError } from "seqway";
import { ModelServiceClient } from "seqway/v1";
import { printed } from "../documents.js";
import { all } from "../unit/setup.js";

const address = process.env.SEQWAY_ADDRESS;
assert.ok(address, "SEQWAY_ADDRESS says where the gateway is: see tests/typescript");
const client = new Client({ address });
after(() => client.close());

const languages = { source: "en", target: "fr" };
const TEXT = "This package contains a small text editor. It is easy to use.\n\nIt starts quickly.";

test("models are listed and described", async () => {
  const models = await client.listModels();
  const translator = models.find(({ name }) => name === "en-fr_int8");
  assert.deepEqual(translator?.languagePairs, [languages]);
  assert.ok(translator.ready && translator.maxSourceTokens > 0);
  assert.deepEqual(await client.getModel("en-fr_int8"), translator);
  await assert.rejects(client.getModel("none"), NotFoundError);
});

test("a text is translated, and streamed the same", async () => {
  const { text, translations, model, timings } = await client.translate(TEXT, languages);
  assert.match(text, /éditeur/);
  assert.match(model, /^en-fr_/);
  assert.equal(translations[0]?.segments.length, 3);
  assert.ok(timings.total >= timings.firstToken && timings.firstToken > 0);
  const stream = client.streamTranslate(TEXT, languages);
  const pieces = await all(stream.text());
  assert.ok(pieces.length > 1);
  assert.equal(pieces.join(""), text);
  assert.deepEqual(stream.summary?.tokenCounts, translations[0].tokenCounts);
});

test("markup, glossary and protected words come back in their places", async () => {
  const page = "<p>A <b>text</b> editor for Debian.</p>";
  const { text, translations } = await client.translate(page, {
    ...languages,
    mimeType: "text/html",
    doNotTranslate: ["Debian"],
    glossary: { editor: "rédacteur" },
  });
  assert.match(text, /^<p>.*<b>.*<\/b>.*<\/p>$/);
  assert.match(text, /Debian/);
  const [match] = translations[0]?.glossaryMatches ?? [];
  assert.ok(match);
  assert.equal([...text].slice(match.targetStart, match.targetEnd).join(""), "rédacteur");
});

test("beams, alternatives and log-probabilities", async () => {
  const options = { numBeams: 4, numHypotheses: 3, tokenLogProbs: true };
  const { translations } = await client.translate("A text editor.", { ...languages, options });
  const [segment] = translations[0]?.segments ?? [];
  assert.equal(segment?.alternatives.length, 2);
  const sum = segment.tokens.reduce((total, { logProb }) => total + logProb, 0);
  assert.ok(Math.abs(sum - segment.logProb) < 1e-3);
});

test("a seed of 64 bits gives the same answer again", async () => {
  const options = { sampling: { temperature: 2, seed: 2n ** 63n + 1n } };
  const drawn = async () => (await client.translate(TEXT, { ...languages, options })).text;
  assert.equal(await drawn(), await drawn());
});

test("a text is summarized, and streamed the same", async () => {
  const { text, model } = await client.summarize(TEXT, { length: "short" });
  assert.ok(text.length > 0 && text.length < TEXT.length);
  assert.match(model, /^deb-summary_/);
  const pieces = await all(client.streamSummarize(TEXT, { length: "short" }).text());
  assert.equal(pieces.join(""), text);
});

test("texts are classified", async () => {
  const texts = ["A strategy game with hexagonal maps.", "This library reads audio files."];
  const { classifications } = await client.classify(texts, { topK: 3 });
  assert.equal(classifications.length, 2);
  assert.equal(classifications[0]?.labels.length, 3);
  assert.equal(classifications[0].label, "games");
});

test("the server's reasons reach the caller", async () => {
  const refused = async (call: Promise<unknown>, reason: string, field: string) => {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof InvalidRequestError);
      assert.deepEqual([error.reason, error.field, error.domain], [reason, field, "seqway"]);
      return true;
    });
  };
  const unknown = { source: "en", target: "de" };
  await refused(client.translate("x", unknown), "UNKNOWN_LANGUAGE_PAIR", "target_language_code");
  await refused(client.translate([], languages), "FIELD_REQUIRED", "contents");
  const options = { numBeams: 100 };
  await refused(client.summarize("x", { options }), "INVALID_OPTION", "options.num_beams");
  await assert.rejects(client.ask("Who?", { context: "Ada." }), { reason: "UNKNOWN_MODEL" });
});

test("a job is done, read, resumed in its streams and deleted", async () => {
  const texts = Array.from({ length: 300 }, (_, number) => `A game of level ${number}.`);
  const lines = texts.map((text, number) => ({ text, custom_id: `line-${number}` }));
  const requestId = `typescript-${process.pid}`;
  const create = () => client.jobs.translate(lines, { ...languages, requestId });
  const job = await create();
  assert.equal((await create()).id, job.id);
  const ended = await client.jobs.wait(job.id);
  assert.deepEqual([ended.state, ended.counts.succeeded], ["SUCCEEDED", 300]);
  const results = await all(client.jobs.results(job.id));
  assert.deepEqual(
    results.map(({ index, customId }) => [index, customId]),
    lines.map(({ custom_id }, index) => [index, custom_id]),
  );
  const { text } = await client.translate(texts[0] ?? "", languages);
  assert.equal(results[0]?.text, text);
  const first = client.jobs.results(job.id);
  for await (const _ of first) {
    if (first.resumeToken) break;
  }
  const rest = await all(client.jobs.results(job.id, { resumeToken: first.resumeToken }));
  assert.ok(rest.length < 300);
  assert.deepEqual(rest, results.slice(300 - rest.length));
  assert.ok((await all(client.jobs.list())).some(({ id }) => id === job.id));
  await client.jobs.delete(job.id);
  await assert.rejects(client.jobs.get(job.id), NotFoundError);
});

test("tenants do not see each other's jobs", async () => {
  const job = await client.jobs.translate(["A game."], languages);
  using other = new Client({ address, tenant: "another" });
  await assert.rejects(other.jobs.get(job.id), { reason: "UNKNOWN_JOB" });
  await client.jobs.cancel(job.id);
});

test("lines that are at fault are named", async () => {
  const bad = [Buffer.from('{"text": "fine"}\nno json\n')];
  await assert.rejects(client.jobs.summarize(bad), (error) => {
    assert.ok(error instanceof InvalidRequestError);
    assert.deepEqual([error.reason, error.field], ["INVALID_INPUT", "line 2"]);
    return true;
  });
});

test("a thousand calls and two hundred streams at once are answered", async () => {
  const many = <Answer>(count: number, call: () => Promise<Answer>) =>
    Promise.all(Array.from({ length: count }, call));
  const [answers, streams] = await Promise.all([
    many(1000, () => client.translate("A game.", languages)),
    many(200, () => all(client.streamTranslate("A game.", languages).text())),
  ]);
  const texts = new Set([
    ...answers.map(({ text }) => text),
    ...streams.map((one) => one.join("")),
  ]);
  assert.equal(texts.size, 1);
});

test("a thousand calls at once over gRPC alone are answered", async () => {
  const plain = new ModelServiceClient(address, credentials.createInsecure());
  const answers = await Promise.all(
    Array.from(
      { length: 1000 },
      () =>
        new Promise<number>((resolve, reject) => {
          plain.listModels({ pageSize: 0, pageToken: "" }, (failure, answer) =>
            failure ? reject(failure) : resolve(answer.models.length),
          );
        }),
    ),
  );
  plain.close();
  assert.ok(answers.every((count) => count > 0));
});

test("the example of README.md runs", async () => {
  const shown = await printed("README.md", address);
  assert.match(shown, /^translated: .*éditeur/m);
  assert.match(shown, /classified: games$/m);
  assert.match(shown, /^line 1 \S/m);
  assert.match(shown, /^refused: UNKNOWN_LANGUAGE_PAIR$/m);
});
