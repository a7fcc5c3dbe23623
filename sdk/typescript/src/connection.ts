/** What a client is made with, and the connection that comes of it. */

import { Client as GrpcClient, Metadata } from "@grpc/grpc-js";
import { isLoopback, resolveAddress } from "./address.js";
import { CHANNEL_OPTIONS } from "./channel.js";
import { channelCredentials, resolveApiKey, resolveTls, type TlsOptions } from "./credentials.js";
import { injectTrace } from "./trace.js";

/** What a client is made with. */
export interface ClientOptions {
  /**
   * "host:port", or "dns:///host:port" to spread calls over all hosts behind a name.  By default
   * SEQWAY_ADDRESS, else 127.0.0.1:50051.
   */
  readonly address?: string;
  /**
   * Whether the connection is secured, and by which certificates.  By default SEQWAY_TLS_CA,
   * SEQWAY_TLS_CERTIFICATE and SEQWAY_TLS_KEY name the files; without any of them it is not.
   */
  readonly tls?: boolean | TlsOptions;
  /** Sent with each call; by default SEQWAY_API_KEY.  Without TLS only to this machine. */
  readonly apiKey?: string;
  /** Sends the API key without TLS: where something else secures the connection. */
  readonly allowPlaintextKey?: boolean;
  /** Whose jobs it works on, at a gateway without authentication; by default SEQWAY_TENANT. */
  readonly tenant?: string;
  /** Milliseconds for every call that sets none of its own, but for the streams of jobs: 60,000. */
  readonly timeout?: number;
  /** Whether a call that the server has no room for waits and is sent again; true by default. */
  readonly retryOverloaded?: boolean;
}

/** A channel to the server, and what is sent with each call over it. */
export class Connection {
  readonly address: string;
  readonly timeout: number;
  readonly retryOverloaded: boolean;
  readonly grpc: GrpcClient;
  readonly #metadata = new Metadata();

  constructor(options: ClientOptions) {
    this.address = resolveAddress(options.address);
    this.timeout = options.timeout ?? 60_000;
    this.retryOverloaded = options.retryOverloaded ?? true;
    const tls = resolveTls(options.tls);
    const allowPlaintextKey = options.allowPlaintextKey ?? false;
    const apiKey = resolveApiKey(options.apiKey, this.address, { tls, allowPlaintextKey });
    const tenant = options.tenant || process.env.SEQWAY_TENANT;
    if (apiKey) {
      this.#metadata.set("authorization", `Bearer ${apiKey}`);
    }
    if (tenant) {
      this.#metadata.set("x-seqway-tenant", tenant);
    }
    this.grpc = new GrpcClient(this.address, channelCredentials(tls), {
      ...CHANNEL_OPTIONS,
      // What is meant for this machine must not leave it through a proxy.
      ...(isLoopback(this.address) && { "grpc.enable_http_proxy": 0 }),
      ...(tls?.serverName && { "grpc.ssl_target_name_override": tls.serverName }),
    });
  }

  /** The metadata of one call. */
  metadata(): Metadata {
    const metadata = this.#metadata.clone();
    injectTrace(metadata);
    return metadata;
  }
}
