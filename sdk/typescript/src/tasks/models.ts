/** The models that are served: `listModels` and `getModel`. */

import type * as pb from "../generated/seqway/v1/model.js";

/** A direction of translation, in BCP-47 codes. */
export interface LanguagePair {
  readonly source: string;
  readonly target: string;
}

/**
 * One variant of a model: a checkpoint in one precision.  A translator has either `languagePairs`, or
 * translates any of `sourceLanguages` to any of `targetLanguages`.
 */
export interface Model
  extends Omit<
    pb.Model,
    "languagePairs" | "sourceLanguageCodes" | "targetLanguageCodes" | "limits"
  > {
  readonly languagePairs: readonly LanguagePair[];
  readonly sourceLanguages: readonly string[];
  readonly targetLanguages: readonly string[];
  readonly maxSourceTokens: number;
  readonly maxTargetTokens: number;
}

/** What a message of a variant becomes. */
export function modelOf(message: pb.Model): Model {
  const { languagePairs, sourceLanguageCodes, targetLanguageCodes, limits, ...same } = message;
  return {
    ...same,
    languagePairs: languagePairs.map((pair) => ({
      source: pair.sourceLanguageCode,
      target: pair.targetLanguageCode,
    })),
    sourceLanguages: sourceLanguageCodes,
    targetLanguages: targetLanguageCodes,
    maxSourceTokens: limits?.maxSourceTokens ?? 0,
    maxTargetTokens: limits?.maxTargetTokens ?? 0,
  };
}
