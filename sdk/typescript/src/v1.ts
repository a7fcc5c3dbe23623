/** The messages and services of `seqway.v1` as they are generated: for what the client lacks. */

export * from "./generated/seqway/v1/classification.js";
export * from "./generated/seqway/v1/generation.js";
export * from "./generated/seqway/v1/job.js";
export * from "./generated/seqway/v1/model.js";
export * from "./generated/seqway/v1/question_answering.js";
export * from "./generated/seqway/v1/summarization.js";
export * from "./generated/seqway/v1/translation.js";
