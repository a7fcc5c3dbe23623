/**
 * What can go wrong.
 *
 * SeqwayError                  any failure of a call: its reason, message and violations
 * ├── InvalidRequestError      the request can't be served as it is; `field` says what to change
 * ├── NotFoundError            no such model or job, or no model for the language pair
 * ├── AuthenticationError      the server doesn't know the caller, or doesn't let it in
 * ├── OverloadedError          no more work taken now; `retryAfter` says when to ask again
 * ├── UnavailableError         no server answers, or it has no model ready
 * ├── DeadlineError            the answer was not ready in time
 * ├── CancelledError           the call was cancelled; `cause` is the reason of its AbortSignal
 * └── ServerError              the server failed, or answers what this client can't read
 */

/** What is wrong with one field of the request, such as `contents[2]`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What a server tells about a failure beside the message. */
export interface ErrorDetails {
  readonly reason?: string;
  readonly domain?: string;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfter?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** A call failed. */
export class SeqwayError extends Error {
  /** The server's UPPER_SNAKE reason, or the name of the gRPC status when it sent none. */
  readonly reason: string;
  /** "seqway" for a reason of the server; empty when it sent none. */
  readonly domain: string;
  /** Which fields of the request are wrong. */
  readonly violations: readonly FieldViolation[];
  /** Milliseconds after which to ask again, where the server says how long. */
  readonly retryAfter: number | undefined;
  /** The values that belong to the reason. */
  readonly metadata: Readonly<Record<string, string>>;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.reason = details.reason ?? "";
    this.domain = details.domain ?? "";
    this.violations = details.violations ?? [];
    this.retryAfter = details.retryAfter;
    this.metadata = details.metadata ?? {};
  }
}

/** The request can't be served as it is. */
export class InvalidRequestError extends SeqwayError {
  /** The first field that is wrong, where the server names one. */
  get field(): string | undefined {
    return this.violations[0]?.field;
  }
}

/** No such model or job. */
export class NotFoundError extends SeqwayError {}

/** The server doesn't know the caller, or doesn't let it in. */
export class AuthenticationError extends SeqwayError {}

/** The server refuses more work now; `retryAfter` says when to ask again. */
export class OverloadedError extends SeqwayError {}

/** No server answers at the address, or it has no model ready. */
export class UnavailableError extends SeqwayError {}

/** The answer was not ready before the timeout. */
export class DeadlineError extends SeqwayError {}

/** The call was cancelled before its end. */
export class CancelledError extends SeqwayError {}

/** The server failed, or doesn't know the call. */
export class ServerError extends SeqwayError {}

/** The error for a field that no message can hold, as the server would word it. */
export function invalidField(field: string, description: string): InvalidRequestError {
  return new InvalidRequestError(`${field}: ${description}`, {
    reason: "INVALID_OPTION",
    violations: [{ field, description }],
  });
}
