/** Translation: `translate` and `streamTranslate`. */

import * as pb from "../generated/seqway/v1/translation.js";
import { contentsOf, type GenerateOptions, generationMessage } from "../options.js";
import { unknownEvent } from "../status.js";
import {
  type FinishReason,
  finishReason,
  only,
  type StreamSummary,
  streamSummary,
  type Timings,
  type TokenCounts,
  timings,
  tokenCounts,
} from "./generation.js";

export type GlossaryMatch = pb.GlossaryMatch;

/** The language through which a text was translated, and the variant that translated to it. */
export type Pivot = pb.Pivot;

/** A term, matched as whole words, and what it is translated to. */
export interface GlossaryEntry {
  readonly sourceTerm: string;
  readonly targetTerm: string;
  readonly caseSensitive?: boolean;
}

/** What a text is; "text/html; charset=utf-8" and the like are taken as well. */
export type MimeType =
  | "text/plain"
  | "text/html"
  | "text/xml"
  | "application/xml"
  | "application/xhtml+xml";

/** What `translate` takes beside the text. */
export interface TranslateOptions extends GenerateOptions {
  /** BCP-47 code of the language of the text; "auto" has it detected. */
  readonly source: string;
  /** BCP-47 code of the language to translate to. */
  readonly target: string;
  /** The tags of markup are kept; plain text by default. */
  readonly mimeType?: MimeType | `${MimeType};${string}`;
  /** Phrases that stay as they are. */
  readonly doNotTranslate?: readonly string[];
  /** Terms and their translations. */
  readonly glossary?: Readonly<Record<string, string>> | readonly GlossaryEntry[];
  /** Fail where no model translates the pair, instead of going through a third language. */
  readonly forbidPivot?: boolean;
}

/** One sentence and its translation; positions count Unicode code points. */
export interface Segment extends Omit<pb.Segment, "finishReason"> {
  readonly finishReason: FinishReason;
}

/** One translated text. */
export interface Translation extends Omit<pb.Translation, "segments" | "finishReason"> {
  readonly segments: readonly Segment[];
  /** EOS when every segment came to its end, else the worst of their reasons. */
  readonly finishReason: FinishReason;
  readonly tokenCounts: TokenCounts;
}

/** The answer to a call: a translation for each text, in the order of the request. */
export class TranslateResult {
  constructor(
    readonly translations: readonly Translation[],
    readonly model: string,
    readonly timings: Timings,
  ) {}

  /** The translation of a call that held one text; throws when it held several: see `texts`. */
  get text(): string {
    return only(this.texts, "texts");
  }

  /** The translations alone. */
  get texts(): readonly string[] {
    return this.translations.map((translation) => translation.text);
  }
}

/** Append `text` to the translation of text `contentIndex`. */
export interface TextDelta {
  readonly type: "delta";
  readonly contentIndex: number;
  readonly segmentIndex: number;
  readonly text: string;
}

/** Text `contentIndex` is complete; `translation.text` is empty: the deltas were the text. */
export interface TextEnd {
  readonly type: "end";
  readonly contentIndex: number;
  readonly translation: Translation;
}

/** What a stream of translations brings. */
export type TranslateEvent = TextDelta | TextEnd | StreamSummary;

/** The request; that of a stream has the same fields. */
export function translateRequest(
  text: string | readonly string[],
  options: TranslateOptions,
): pb.TranslateRequest & pb.StreamTranslateRequest {
  return pb.TranslateRequest.fromPartial({
    contents: contentsOf(text),
    sourceLanguageCode: options.source,
    targetLanguageCode: options.target,
    model: options.model,
    options: generationMessage(options),
    mimeType: options.mimeType,
    doNotTranslate: options.doNotTranslate,
    glossary: glossaryEntries(options.glossary ?? []),
    forbidPivot: options.forbidPivot,
  });
}

function glossaryEntries(
  glossary: Readonly<Record<string, string>> | readonly GlossaryEntry[],
): readonly GlossaryEntry[] {
  if (isEntries(glossary)) {
    return glossary;
  }
  return Object.entries(glossary).map(([sourceTerm, targetTerm]) => ({ sourceTerm, targetTerm }));
}

function isEntries(glossary: object): glossary is readonly GlossaryEntry[] {
  return Array.isArray(glossary);
}

/** What the response of `translate` becomes. */
export function translateResult(response: pb.TranslateResponse): TranslateResult {
  const translations = response.translations.map(translationOf);
  return new TranslateResult(translations, response.model, timings(response.timings));
}

/** What a message of the stream becomes. */
export function translateEvent({ event }: pb.StreamTranslateResponse): TranslateEvent {
  switch (event?.$case) {
    case "delta":
      return { type: "delta", ...event.value };
    case "end": {
      const { contentIndex, translation } = event.value;
      const empty = pb.Translation.fromPartial({});
      return { type: "end", contentIndex, translation: translationOf(translation ?? empty) };
    }
    case "summary":
      return streamSummary(event.value);
    default:
      throw unknownEvent();
  }
}

function translationOf(message: pb.Translation): Translation {
  return {
    ...message,
    segments: message.segments.map((segment) => ({
      ...segment,
      finishReason: finishReason(segment.finishReason),
    })),
    finishReason: finishReason(message.finishReason),
    tokenCounts: tokenCounts(message.tokenCounts),
  };
}
