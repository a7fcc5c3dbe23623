/** A servicer that lists three variants, two a page. */

import { status } from "@grpc/grpc-js";
import { Model, type ModelServiceServer } from "seqway/v1";
import { errorInfo, failure } from "./failure.js";
import type { Fake } from "./fake.js";

export const MODELS = [
  Model.fromPartial({ name: "deb-section_int8", labels: ["editors", "libs"], multiLabel: true }),
  Model.fromPartial({
    name: "en-fr_int8",
    languagePairs: [{ sourceLanguageCode: "en", targetLanguageCode: "fr" }],
    precision: "int8",
    limits: { maxSourceTokens: 512, maxTargetTokens: 256 },
    quality: { bleu: 30.1 },
    ready: true,
  }),
  Model.fromPartial({
    name: "many_fp32",
    sourceLanguageCodes: ["de", "en"],
    targetLanguageCodes: ["fr"],
  }),
];

export function modelServer(fake: Fake): ModelServiceServer {
  return {
    listModels: fake.unary(({ pageToken }: { pageToken: string }) => {
      const start = Number(pageToken);
      const nextPageToken = start + 2 < MODELS.length ? String(start + 2) : "";
      return { models: MODELS.slice(start, start + 2), nextPageToken };
    }),
    getModel: fake.unary(({ name }: { name: string }) => {
      const model = MODELS.find((one) => one.name === name);
      if (!model) {
        throw failure(status.NOT_FOUND, "no such model", [errorInfo("UNKNOWN_MODEL")]);
      }
      return { model };
    }),
  };
}
