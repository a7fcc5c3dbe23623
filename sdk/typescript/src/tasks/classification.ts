/** Classification: `classify`. */

import * as pb from "../generated/seqway/v1/classification.js";
import { contentsOf, type ModelOptions } from "../options.js";
import { only, type Timings, timings } from "./generation.js";

export type LabelScore = pb.LabelScore;

/** What `classify` takes beside the text. */
export interface ClassifyOptions extends ModelOptions {
  /** The most labels of each text; all by default. */
  readonly topK?: number;
  /**
   * Only labels with at least this score, from 0 to 1; by default 0.5 for a multi-label model and no
   * limit for others.
   */
  readonly threshold?: number;
  /** Whether each label is scored by itself; by default as the checkpoint says. */
  readonly multiLabel?: boolean;
}

/** The labels of one text, best first. */
export interface Classification extends pb.Classification {
  /** The best label; undefined when no label reached the threshold. */
  readonly label: string | undefined;
}

/** The answer to a call: a classification for each text, in the order of the request. */
export class ClassifyResult {
  constructor(
    readonly classifications: readonly Classification[],
    readonly model: string,
    readonly timings: Timings,
  ) {}

  /** The best label of a call that held one text; throws when it held several. */
  get label(): string | undefined {
    return only(this.classifications, "classifications").label;
  }

  /** The labels of a call that held one text; throws when it held several. */
  get labels(): readonly LabelScore[] {
    return only(this.classifications, "classifications").labels;
  }
}

/** The request for one text or several. */
export function classifyRequest(
  text: string | readonly string[],
  { model, topK, threshold, multiLabel }: ClassifyOptions,
): pb.ClassifyRequest {
  const contents = contentsOf(text);
  return pb.ClassifyRequest.fromPartial({ contents, model, topK, threshold, multiLabel });
}

/** What the response becomes. */
export function classifyResult(response: pb.ClassifyResponse): ClassifyResult {
  const classifications = response.classifications.map((one) => ({
    ...one,
    label: one.labels[0]?.label,
  }));
  return new ClassifyResult(classifications, response.model, timings(response.timings));
}
