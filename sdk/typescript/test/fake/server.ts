/** A real gRPC server in this process with a fake of every service. */

import { Server, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import * as pb from "seqway/v1";
import { Fake } from "./fake.js";
import { FakeJobs, jobServer } from "./jobs.js";
import { modelServer } from "./models.js";
import {
  classificationServer,
  questionServer,
  summarizationServer,
  translationServer,
} from "./tasks.js";

export class FakeServer {
  readonly translation = new Fake();
  readonly summarization = new Fake();
  readonly classification = new Fake();
  readonly questions = new Fake();
  readonly models = new Fake();
  readonly jobs = new FakeJobs();
  readonly #options: ServerOptions;
  #server = new Server();
  address = "";

  constructor(options: ServerOptions = {}) {
    this.#options = options;
  }

  /** Listens; where it was stopped before, again, with all that it knows. */
  async start(address = "127.0.0.1:0", credentials = ServerCredentials.createInsecure()) {
    this.#server = this.#made();
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (failure, port) =>
        failure ? reject(failure) : resolve(port),
      );
    });
    this.address = address.replace(/:\d+$/, `:${port}`);
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  #made(): Server {
    const server = new Server(this.#options);
    server.addService(pb.TranslationServiceService, translationServer(this.translation));
    server.addService(pb.SummarizationServiceService, summarizationServer(this.summarization));
    server.addService(pb.ClassificationServiceService, classificationServer(this.classification));
    server.addService(pb.QuestionAnsweringServiceService, questionServer(this.questions));
    server.addService(pb.ModelServiceService, modelServer(this.models));
    server.addService(pb.JobServiceService, jobServer(this.jobs));
    return server;
  }
}
