import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, InvalidRequestError, NotFoundError } from "seqway";
import type * as pb from "seqway/v1";
import { VARIANT } from "../fake/tasks.js";
import { connected, variable } from "./setup.js";

const languages = { source: "en", target: "fr" };

test("one text is translated", async (t) => {
  const { client } = await connected(t);
  const result = await client.translate("hello", languages);
  assert.equal(result.text, "HELLO");
  assert.equal(result.model, VARIANT);
  assert.deepEqual(result.timings, { queue: 1, firstToken: 5, total: 1500 });
  const [translation] = result.translations;
  assert.equal(translation?.finishReason, "EOS");
  assert.deepEqual(translation.tokenCounts, { input: 3, output: 4 });
  assert.equal(translation.segments[0]?.sourceEnd, 5);
  assert.equal(translation.segments[0].finishReason, "EOS");
  assert.equal(translation.segments[0].quality, 0.75);
  assert.equal(translation.quality, undefined);
});

test("several texts keep their order", async (t) => {
  const { client } = await connected(t);
  const result = await client.translate(["b", "a"], languages);
  assert.deepEqual(result.texts, ["B", "A"]);
  assert.throws(() => result.text, /2 texts were answered: use \.texts/);
});

test("all options reach the server", async (t) => {
  const { client, server } = await connected(t);
  await client.translate("x", {
    ...languages,
    model: "en-fr",
    mimeType: "text/html; charset=utf-8",
    doNotTranslate: ["Debian"],
    glossary: { editor: "éditeur" },
    options: {
      maxNewTokens: 7,
      numBeams: 1,
      lengthPenalty: 0.5,
      earlyStopping: false,
      sampling: { temperature: 0.5, seed: 2n ** 64n - 1n },
      stopRepetition: false,
      priority: "bulk",
    },
  });
  const request = server.translation.requests[0] as pb.TranslateRequest;
  assert.equal(request.sourceLanguageCode, "en");
  assert.equal(request.targetLanguageCode, "fr");
  assert.equal(request.model, "en-fr");
  assert.equal(request.mimeType, "text/html; charset=utf-8");
  assert.deepEqual(request.doNotTranslate, ["Debian"]);
  assert.deepEqual(request.glossary, [
    { sourceTerm: "editor", targetTerm: "éditeur", caseSensitive: false },
  ]);
  assert.equal(request.options?.maxNewTokens, 7);
  assert.equal(request.options.numBeams, 1);
  assert.equal(request.options.lengthPenalty, 0.5);
  assert.equal(request.options.earlyStopping, "EARLY_STOPPING_FALSE");
  assert.equal(request.options.sampling?.seed, 2n ** 64n - 1n);
  assert.equal(request.options.sampling.topK, undefined);
  assert.equal(request.options.stopRepetition, false);
  assert.equal(request.options.priority, "PRIORITY_BULK");
});

test("entries of a glossary keep their case sensitivity", async (t) => {
  const { client, server } = await connected(t);
  const entry = { sourceTerm: "APT", targetTerm: "APT", caseSensitive: true };
  await client.translate("x", { ...languages, glossary: [entry] });
  assert.deepEqual((server.translation.requests[0] as pb.TranslateRequest).glossary, [entry]);
});

test("maxNewTokens is short for the option", async (t) => {
  const { client, server } = await connected(t);
  await client.summarize("x", { maxNewTokens: 5, options: { numBeams: 2 } });
  const request = server.summarization.requests[0] as pb.SummarizeRequest;
  assert.deepEqual([request.options?.maxNewTokens, request.options?.numBeams], [5, 2]);
  const twice = { maxNewTokens: 5, options: { maxNewTokens: 6 } };
  await assert.rejects(client.summarize("x", twice), /given twice/);
});

test("a text is summarized", async (t) => {
  const { client, server } = await connected(t);
  const result = await client.summarize("long text", { length: "short", language: "en" });
  assert.equal(result.text, "long");
  assert.equal(result.summaries[0]?.finishReason, "LENGTH");
  assert.equal(result.summaries[0].parts[0]?.sourceEnd, 9);
  const request = server.summarization.requests[0] as pb.SummarizeRequest;
  assert.equal(request.length, "SUMMARY_LENGTH_SHORT");
});

test("languages are detected", async (t) => {
  const { client, server } = await connected(t);
  const one = await client.detect("a text editor", { languages: ["de", "en"] });
  assert.equal(one.language, "de");
  assert.deepEqual(one.detections[0]?.candidates, [{ languageCode: "de", score: 0.75 }]);
  const request = server.translation.requests[0] as pb.DetectLanguageRequest;
  assert.deepEqual(request.languageCodes, ["de", "en"]);
  const several = await client.detect(["a text editor", "ok"]);
  assert.deepEqual(
    several.detections.map(({ language }) => language),
    ["en", undefined],
  );
  assert.throws(() => several.language, /use \.detections/);
});

test("texts are classified", async (t) => {
  const { client, server } = await connected(t);
  const one = await client.classify("x", { topK: 3, threshold: 0, multiLabel: false });
  assert.equal(one.label, "editors");
  assert.deepEqual(one.labels, [{ label: "editors", score: 0.75, logit: 2 }]);
  const request = server.classification.requests[0] as pb.ClassifyRequest;
  assert.deepEqual([request.topK, request.threshold, request.multiLabel], [3, 0, false]);
  const several = await client.classify(["x", ""]);
  assert.deepEqual(
    several.classifications.map(({ label }) => label),
    ["editors", undefined],
  );
  assert.throws(() => several.label, /use \.classifications/);
});

test("a question is answered", async (t) => {
  const { client, server } = await connected(t);
  const result = await client.ask("Who?", { context: "Ada wrote it.", topK: 2 });
  assert.equal(result.text, "Ada");
  assert.equal(result.answers[0]?.finishReason, "EOS");
  assert.equal(result.noAnswerScore, 0.25);
  const request = server.questions.requests[0] as pb.AnswerQuestionRequest;
  assert.deepEqual([request.question, request.context, request.topK], ["Who?", "Ada wrote it.", 2]);
  assert.equal((await client.ask("Who?", { context: "" })).text, undefined);
});

test("models are listed over all pages", async (t) => {
  const { client, server } = await connected(t);
  const [classifier, translator, many] = await client.listModels();
  assert.equal(server.models.requests.length, 2);
  assert.deepEqual(classifier?.labels, ["editors", "libs"]);
  assert.deepEqual(translator?.languagePairs, [{ source: "en", target: "fr" }]);
  assert.equal(translator.quality.bleu, 30.1);
  assert.equal(translator.maxSourceTokens, 512);
  assert.deepEqual(many?.sourceLanguages, ["de", "en"]);
});

test("one model is described", async (t) => {
  const { client } = await connected(t);
  assert.equal((await client.getModel(VARIANT)).precision, "int8");
  await assert.rejects(client.getModel("none"), NotFoundError);
});

test("what no message can hold is refused here and named", async (t) => {
  const { client, server } = await connected(t);
  const refused = async (call: Promise<unknown>, field: string | undefined) => {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof InvalidRequestError);
      assert.deepEqual([error.reason, error.field], ["INVALID_OPTION", field]);
      return true;
    });
  };
  // @ts-expect-error - the types know the lengths
  await refused(client.summarize("x", { length: "tiny" }), "length");
  // @ts-expect-error - and the priorities
  await refused(client.summarize("x", { options: { priority: "soon" } }), "options.priority");
  // @ts-expect-error - and when a search stops
  const inherited = client.summarize("x", { options: { earlyStopping: "toString" } });
  await refused(inherited, "options.early_stopping");
  await refused(client.summarize("x", { options: { numBeams: 1.5 } }), undefined);
  assert.equal(server.summarization.requests.length, 0);
});

test("the types name what is missing and what is not known", async (t) => {
  const { client, server } = await connected(t);
  // @ts-expect-error - the source is missing: left to the server, which names the field
  await client.translate("x", { target: "fr" });
  // @ts-expect-error - "langauge" is no option
  await client.summarize("x", { langauge: "en" });
  assert.equal((server.translation.requests[0] as pb.TranslateRequest).sourceLanguageCode, "");
});

test("the address comes from the environment", async (t) => {
  const { server } = await connected(t);
  assert.equal(new Client().address, "127.0.0.1:50051");
  variable(t, "SEQWAY_ADDRESS", server.address);
  using client = new Client();
  assert.equal((await client.translate("a", languages)).text, "A");
});
