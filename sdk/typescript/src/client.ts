/** The client. */

import { type CallOptions, Calls } from "./calls.js";
import { type ClientOptions, Connection } from "./connection.js";
import { NotFoundError } from "./errors.js";
import { EventStream } from "./event-stream.js";
import { ClassificationServiceService } from "./generated/seqway/v1/classification.js";
import { ModelServiceService } from "./generated/seqway/v1/model.js";
import { QuestionAnsweringServiceService } from "./generated/seqway/v1/question_answering.js";
import { SummarizationServiceService } from "./generated/seqway/v1/summarization.js";
import { TranslationServiceService } from "./generated/seqway/v1/translation.js";
import { Jobs } from "./jobs.js";
import {
  type ClassifyOptions,
  type ClassifyResult,
  classifyRequest,
  classifyResult,
} from "./tasks/classification.js";
import {
  type DetectOptions,
  type DetectResult,
  detectRequest,
  detectResult,
} from "./tasks/detection.js";
import { type Model, modelOf } from "./tasks/models.js";
import {
  type AskOptions,
  type AskResult,
  askRequest,
  askResult,
} from "./tasks/question-answering.js";
import {
  type SummarizeEvent,
  type SummarizeOptions,
  type SummarizeResult,
  summarizeEvent,
  summarizeRequest,
  summarizeResult,
} from "./tasks/summarization.js";
import {
  type TranslateEvent,
  type TranslateOptions,
  type TranslateResult,
  translateEvent,
  translateRequest,
  translateResult,
} from "./tasks/translation.js";

/** One text, or several that are answered in one call. */
export type Texts = string | readonly string[];

/**
 * Calls a Seqway server.  Make it once and share it; close it at the end.  Every call fails with a
 * subclass of `SeqwayError`; all times are milliseconds.
 */
export class Client implements Disposable {
  /** Where the server is. */
  readonly address: string;
  /** Batch jobs. */
  readonly jobs: Jobs;
  readonly #calls: Calls;

  constructor(options: ClientOptions = {}) {
    const connection = new Connection(options);
    this.address = connection.address;
    this.#calls = new Calls(connection);
    this.jobs = new Jobs(this.#calls);
  }

  /** Translates one text or several and waits for all of them. */
  async translate(text: Texts, options: TranslateOptions): Promise<TranslateResult> {
    const request = translateRequest(text, options);
    const method = TranslationServiceService.translate;
    return translateResult(await this.#calls.unary(method, request, options));
  }

  /** Starts a translation whose text comes as it is made. */
  streamTranslate(text: Texts, options: TranslateOptions): EventStream<TranslateEvent> {
    const request = translateRequest(text, options);
    const method = TranslationServiceService.streamTranslate;
    return new EventStream(this.#calls.stream(method, request, options, translateEvent));
  }

  /** Tells the language of one text or several. */
  async detect(text: Texts, options: DetectOptions = {}): Promise<DetectResult> {
    const request = detectRequest(text, options);
    const method = TranslationServiceService.detectLanguage;
    return detectResult(await this.#calls.unary(method, request, options));
  }

  /** Summarizes one text or several and waits for all of them. */
  async summarize(text: Texts, options: SummarizeOptions = {}): Promise<SummarizeResult> {
    const request = summarizeRequest(text, options);
    const method = SummarizationServiceService.summarize;
    return summarizeResult(await this.#calls.unary(method, request, options));
  }

  /** Starts a summary whose text comes as it is made. */
  streamSummarize(text: Texts, options: SummarizeOptions = {}): EventStream<SummarizeEvent> {
    const request = summarizeRequest(text, options);
    const method = SummarizationServiceService.streamSummarize;
    return new EventStream(this.#calls.stream(method, request, options, summarizeEvent));
  }

  /** Classifies one text or several. */
  async classify(text: Texts, options: ClassifyOptions = {}): Promise<ClassifyResult> {
    const request = classifyRequest(text, options);
    const method = ClassificationServiceService.classify;
    return classifyResult(await this.#calls.unary(method, request, options));
  }

  /** Answers a question about a text. */
  async ask(question: string, options: AskOptions): Promise<AskResult> {
    const request = askRequest(question, options);
    const method = QuestionAnsweringServiceService.answerQuestion;
    return askResult(await this.#calls.unary(method, request, options));
  }

  /** All variants, by name. */
  async listModels(options: CallOptions = {}): Promise<Model[]> {
    const models: Model[] = [];
    let pageToken = "";
    do {
      const request = { pageSize: 0, pageToken };
      const page = await this.#calls.unary(ModelServiceService.listModels, request, options);
      models.push(...page.models.map(modelOf));
      pageToken = page.nextPageToken;
    } while (pageToken);
    return models;
  }

  /** One variant; `NotFoundError` when there is none of that name. */
  async getModel(name: string, options: CallOptions = {}): Promise<Model> {
    const { model } = await this.#calls.unary(ModelServiceService.getModel, { name }, options);
    if (!model) {
      throw new NotFoundError(`the server's answer holds no model ${name}`);
    }
    return modelOf(model);
  }

  /** Ends the connection; calls that run come to their end. */
  close(): void {
    this.#calls.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
