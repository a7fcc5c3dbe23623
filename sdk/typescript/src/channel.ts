/** How a channel behaves: retries, balancing, keepalive, limits. */

import type { ChannelOptions } from "@grpc/grpc-js";

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

// These services only read: a call that is made twice does no harm.  The same holds for these
// methods of JobService, of which CreateJob carries a request_id.
const IDEMPOTENT_SERVICES = [
  "seqway.v1.TranslationService",
  "seqway.v1.SummarizationService",
  "seqway.v1.ClassificationService",
  "seqway.v1.QuestionAnsweringService",
  "seqway.v1.ModelService",
];
const IDEMPOTENT_METHODS = [
  "CreateJob",
  "GetJob",
  "ListJobs",
  "WatchJob",
  "ReadResults",
  "CancelJob",
];

const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [
        ...IDEMPOTENT_SERVICES.map((service) => ({ service })),
        ...IDEMPOTENT_METHODS.map((method) => ({ service: "seqway.v1.JobService", method })),
      ],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.2s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        // A server that shuts down cancels what reaches it before the client has heard of it
        // (grpc#41785).  What this client cancels itself is never tried again.
        retryableStatusCodes: ["UNAVAILABLE", "CANCELLED"],
      },
    },
  ],
  // When most calls fail, retries stop rather than double the load (gRFC A6).  A client may have a
  // thousand calls under way that all break at once when a server is replaced.
  retryThrottling: { maxTokens: 1000, tokenRatio: 1 },
};

/** The options of every channel. */
export const CHANNEL_OPTIONS: ChannelOptions = {
  // A client has connections of its own: a gateway bounds the calls on each.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
  "grpc.service_config_disable_resolution": 1,
  // When a server is replaced the next one is there at once.
  "grpc.initial_reconnect_backoff_ms": 100,
  // Pings keep long quiet calls alive through NAT boxes; the gateway allows them.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};
