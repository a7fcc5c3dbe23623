/** Detection of languages: `detect`. */

import type { CallOptions } from "../calls.js";
import * as pb from "../generated/seqway/v1/translation.js";
import { contentsOf } from "../options.js";
import { only } from "./generation.js";
import type { MimeType } from "./translation.js";

export type LanguageCandidate = pb.LanguageCandidate;

/** What `detect` takes beside the text. */
export interface DetectOptions extends CallOptions {
  /** BCP-47 codes of the languages that it may be in; by default those that are translated from. */
  readonly languages?: readonly string[];
  /** As in `translate`. */
  readonly mimeType?: MimeType | `${MimeType};${string}`;
}

/** The language of one text. */
export interface DetectedLanguage {
  /** Undefined when it is undecided. */
  readonly language: string | undefined;
  /** The languages that the text may be in, best first. */
  readonly candidates: readonly LanguageCandidate[];
}

/** The answer to a call: a language for each text, in the order of the request. */
export class DetectResult {
  constructor(readonly detections: readonly DetectedLanguage[]) {}

  /** The language of a call that held one text; throws when it held several. */
  get language(): string | undefined {
    return only(this.detections, "detections").language;
  }
}

/** The request for one text or several. */
export function detectRequest(
  text: string | readonly string[],
  { languages, mimeType }: DetectOptions,
): pb.DetectLanguageRequest {
  const contents = contentsOf(text);
  return pb.DetectLanguageRequest.fromPartial({ contents, languageCodes: languages, mimeType });
}

/** What the response becomes. */
export function detectResult(response: pb.DetectLanguageResponse): DetectResult {
  return new DetectResult(
    response.detections.map(({ languageCode, candidates }) => ({
      language: languageCode || undefined,
      candidates,
    })),
  );
}
