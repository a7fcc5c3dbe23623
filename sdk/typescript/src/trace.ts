/** The W3C context of a trace, where the program has OpenTelemetry. */

import { createRequire } from "node:module";
import type { Metadata } from "@grpc/grpc-js";

type Api = typeof import("@opentelemetry/api");

// An optional peer: its API keeps what the program has set up in one place of the process.
const api = optional<Api>("@opentelemetry/api");

/** Adds `traceparent` of the active span, if there is one. */
export function injectTrace(metadata: Metadata): void {
  api?.propagation.inject(api.context.active(), metadata, {
    set: (carrier, key, value) => carrier.set(key, value),
  });
}

function optional<Module>(name: string): Module | undefined {
  try {
    return createRequire(import.meta.url)(name) as Module;
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") {
      return undefined;
    }
    throw failure;
  }
}
