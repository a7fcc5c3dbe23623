/** Between protobuf's durations and times and those of JavaScript: milliseconds and `Date`. */

import type { Duration } from "./generated/google/protobuf/duration.js";

/** A duration in milliseconds; 0 for none. */
export function milliseconds(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) * 1000 + duration.nanos / 1e6 : 0;
}

/** The message for so many milliseconds. */
export function duration(milliseconds: number): Duration {
  const seconds = Math.trunc(milliseconds / 1000);
  return {
    seconds: BigInt(seconds),
    nanos: Math.round((milliseconds - seconds * 1000) * 1e6),
  };
}

/** A time, or one that is so many milliseconds from now. */
export function time(when: Date | number): Date {
  return typeof when === "number" ? new Date(Date.now() + when) : when;
}
