/** Servicers whose models are simple: a translation is upper case, a summary the first word. */

import type * as pb from "seqway/v1";
import { FinishReason, Summary, Translation } from "seqway/v1";
import type { Fake } from "./fake.js";

export const VARIANT = "en-fr_int8";

const timings: pb.Timings = {
  queue: { seconds: 0n, nanos: 1_000_000 },
  firstToken: { seconds: 0n, nanos: 5_000_000 },
  total: { seconds: 1n, nanos: 500_000_000 },
};
const tokenCounts = { input: 3, output: 4 };

function translationOf(text: string): pb.Translation {
  return Translation.fromPartial({
    text: text.toUpperCase(),
    segments: [
      { sourceEnd: text.length, finishReason: FinishReason.EOS, score: -1.5, quality: 0.75 },
    ],
    finishReason: FinishReason.EOS,
    tokenCounts,
  });
}

function summaryOf(text: string): pb.Summary {
  const parts = [{ sourceEnd: text.length }];
  const first = text.split(" ")[0];
  return Summary.fromPartial({ text: first, parts, finishReason: FinishReason.LENGTH });
}

const closing = {
  $case: "summary" as const,
  value: { finishReason: FinishReason.EOS, tokenCounts, timings, model: VARIANT },
};

export function translationServer(fake: Fake): pb.TranslationServiceServer {
  return {
    translate: fake.unary(({ contents }: pb.TranslateRequest): pb.TranslateResponse => {
      return { translations: contents.map(translationOf), model: VARIANT, timings };
    }),
    streamTranslate: fake.stream(async function* ({
      contents,
    }: pb.StreamTranslateRequest): AsyncGenerator<pb.StreamTranslateResponse> {
      for (const [contentIndex, text] of contents.entries()) {
        for (const letter of text.toUpperCase()) {
          const value = { contentIndex, segmentIndex: 0, text: letter };
          yield { event: { $case: "delta", value } };
          await fake.hold();
        }
        const translation = { ...translationOf(text), text: "" };
        yield { event: { $case: "end", value: { contentIndex, translation } } };
      }
      yield { event: closing };
    }),
    detectLanguage: fake.unary(
      ({ contents, languageCodes }: pb.DetectLanguageRequest): pb.DetectLanguageResponse => {
        const best = languageCodes[0] ?? "en";
        const detections = contents.map((text) => ({
          languageCode: text.length > 5 ? best : "",
          candidates: [{ languageCode: best, score: 0.75 }],
        }));
        return { detections };
      },
    ),
  };
}

export function summarizationServer(fake: Fake): pb.SummarizationServiceServer {
  return {
    summarize: fake.unary(({ contents }: pb.SummarizeRequest): pb.SummarizeResponse => {
      return { summaries: contents.map(summaryOf), model: VARIANT, timings };
    }),
    streamSummarize: fake.stream(async function* ({
      contents,
    }: pb.StreamSummarizeRequest): AsyncGenerator<pb.StreamSummarizeResponse> {
      for (const [contentIndex, text] of contents.entries()) {
        const progress = { contentIndex, level: 0, partsDone: 1, partsTotal: 2 };
        yield { event: { $case: "progress", value: progress } };
        const summary = summaryOf(text);
        yield { event: { $case: "delta", value: { contentIndex, text: summary.text } } };
        const end = { contentIndex, summary: { ...summary, text: "" } };
        yield { event: { $case: "end", value: end } };
      }
      yield { event: fake.unknown ? undefined : closing };
    }),
  };
}

export function classificationServer(fake: Fake): pb.ClassificationServiceServer {
  return {
    classify: fake.unary(({ contents }: pb.ClassifyRequest): pb.ClassifyResponse => {
      const classifications = contents.map((text) => ({
        labels: text ? [{ label: "editors", score: 0.75, logit: 2 }] : [],
        multiLabel: false,
        windows: 1,
        inputTokens: 3,
        warnings: [],
      }));
      return { classifications, model: "deb-section_int8", timings };
    }),
  };
}

export function questionServer(fake: Fake): pb.QuestionAnsweringServiceServer {
  return {
    answerQuestion: fake.unary(
      ({ context }: pb.AnswerQuestionRequest): pb.AnswerQuestionResponse => {
        const text = context.slice(0, 3);
        const finishReason = FinishReason.EOS;
        const answer = { text, extracted: true, start: 0, end: 3, score: 0.5, finishReason };
        const answers = text ? [answer] : [];
        const counts = { tokenCounts, noAnswerScore: 0.25, windows: 1, warnings: [] };
        return { ...counts, answers, model: "qa_int8", timings };
      },
    ),
  };
}
