/** Failures that a fake servicer answers with. */

import { Metadata, type ServerErrorResponse, type status } from "@grpc/grpc-js";
import * as rpc from "../../dist/generated/google/rpc/error_details.js";
import { Status } from "../../dist/generated/google/rpc/status.js";

interface Detail {
  readonly typeUrl: string;
  readonly value: Buffer;
}

export function errorInfo(reason: string): Detail {
  const info = { reason, domain: "seqway", metadata: { key: "value" } };
  return packed("ErrorInfo", rpc.ErrorInfo.encode(rpc.ErrorInfo.fromPartial(info)).finish());
}

export function badRequest(field: string, description: string): Detail {
  const bad = rpc.BadRequest.fromPartial({ fieldViolations: [{ field, description }] });
  return packed("BadRequest", rpc.BadRequest.encode(bad).finish());
}

export function retryInfo(milliseconds: number): Detail {
  const seconds = BigInt(Math.floor(milliseconds / 1000));
  const retry = { retryDelay: { seconds, nanos: (milliseconds % 1000) * 1e6 } };
  return packed("RetryInfo", rpc.RetryInfo.encode(retry).finish());
}

function packed(name: string, bytes: Uint8Array): Detail {
  return { typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Buffer.from(bytes) };
}

/** A status with details, as a servicer sends it. */
export function failure(
  code: status,
  details: string,
  packed: readonly Detail[] = [],
  trailers: Readonly<Record<string, string>> = {},
): ServerErrorResponse {
  const metadata = new Metadata();
  if (packed.length > 0) {
    const rich = Status.encode({ code, message: details, details: packed }).finish();
    metadata.set("grpc-status-details-bin", Buffer.from(rich));
  }
  for (const [name, value] of Object.entries(trailers)) {
    metadata.set(name, value);
  }
  return Object.assign(new Error(details), { code, details, metadata });
}
