/** From a gRPC status, with its google.rpc details, to an error of this package. */

import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { milliseconds } from "./durations.js";
import {
  AuthenticationError,
  CancelledError,
  DeadlineError,
  type ErrorDetails,
  type FieldViolation,
  InvalidRequestError,
  NotFoundError,
  OverloadedError,
  ServerError,
  UnavailableError,
} from "./errors.js";
import { BadRequest, ErrorInfo, RetryInfo } from "./generated/google/rpc/error_details.js";
import { Status } from "./generated/google/rpc/status.js";

const ERRORS: Partial<Record<status, typeof ServerError>> = {
  [status.INVALID_ARGUMENT]: InvalidRequestError,
  [status.OUT_OF_RANGE]: InvalidRequestError,
  [status.FAILED_PRECONDITION]: InvalidRequestError,
  [status.ALREADY_EXISTS]: InvalidRequestError,
  [status.NOT_FOUND]: NotFoundError,
  [status.UNAUTHENTICATED]: AuthenticationError,
  [status.PERMISSION_DENIED]: AuthenticationError,
  [status.RESOURCE_EXHAUSTED]: OverloadedError,
  [status.UNAVAILABLE]: UnavailableError,
  [status.DEADLINE_EXCEEDED]: DeadlineError,
  [status.CANCELLED]: CancelledError,
};

// gRPC's own refusal, on either side and in its words: asking again can't help, unlike with an
// overload, which has the same code.
const TOO_LARGE = /message.* larger than/i;

/** The error for a failed call; `signal` is what may have cancelled it. */
export function errorOf(failure: unknown, signal?: AbortSignal): Error {
  if (!isServiceError(failure)) {
    return failure instanceof Error ? failure : new Error(String(failure));
  }
  const { code, details: message, metadata } = failure;
  if (code === status.RESOURCE_EXHAUSTED && TOO_LARGE.test(message)) {
    return new InvalidRequestError(message, { reason: "MESSAGE_TOO_LARGE" });
  }
  if (code === status.CANCELLED && signal?.aborted) {
    return cancelled(signal);
  }
  const name = status[code] ?? String(code);
  const details = { reason: name, ...detailsOf(code, metadata) };
  return new (ERRORS[code] ?? ServerError)(message || name, details);
}

/** The error for a call whose signal was aborted. */
export function cancelled(signal: AbortSignal): CancelledError {
  return new CancelledError("the call was aborted", { reason: "CANCELLED", cause: signal.reason });
}

/** The error for a message of a stream that this version doesn't know. */
export function unknownEvent(): ServerError {
  return new ServerError(
    "the server sent an event that this client doesn't know: update the client",
    { reason: "UNKNOWN_EVENT" },
  );
}

function isServiceError(failure: unknown): failure is ServiceError {
  return failure instanceof Error && "code" in failure && "metadata" in failure;
}

/** What the details say; those that were left out are missing. */
function detailsOf(code: status, metadata: Metadata): ErrorDetails {
  let details: ErrorDetails = {};
  for (const { typeUrl, value } of richStatus(code, metadata).details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
      case "google.rpc.ErrorInfo": {
        const { reason, domain, metadata } = ErrorInfo.decode(value);
        details = { ...details, ...(reason && { reason }), domain, metadata };
        break;
      }
      case "google.rpc.BadRequest":
        details = { ...details, violations: violationsOf(BadRequest.decode(value)) };
        break;
      case "google.rpc.RetryInfo":
        details = { ...details, retryAfter: milliseconds(RetryInfo.decode(value).retryDelay) };
        break;
    }
  }
  return details;
}

function violationsOf({ fieldViolations }: BadRequest): FieldViolation[] {
  return fieldViolations.map(({ field, description }) => ({ field, description }));
}

/** The google.rpc.Status of the trailers; empty when none fits the call. */
function richStatus(code: status, metadata: Metadata): Status {
  const [packed] = metadata.get("grpc-status-details-bin");
  const rich = packed instanceof Buffer ? decoded(packed) : undefined;
  // A code that differs from the call's: something between rewrote one of them.
  return rich?.code === code ? rich : Status.fromPartial({});
}

function decoded(packed: Buffer): Status | undefined {
  try {
    return Status.decode(packed);
  } catch {
    return undefined; // no google.rpc.Status: the status itself still tells what failed
  }
}
