/** One of several names, as a caller gives it and as the message holds it. */

import { invalidField } from "./errors.js";

type Name = string | boolean;
type Values<Value> = Readonly<Record<string, Value>>;

/**
 * The value of a name; undefined, which is the message's default, when none was given.  The types
 * allow no other name: the check is for callers without them.
 */
export function choice<Value>(field: string, values: Values<Value>, name: Name): Value;
export function choice<Value>(
  field: string,
  values: Values<Value>,
  name: Name | undefined,
): Value | undefined;
export function choice<Value>(
  field: string,
  values: Values<Value>,
  name: Name | undefined,
): Value | undefined {
  if (name === undefined) {
    return undefined;
  }
  if (!Object.hasOwn(values, String(name))) {
    const known = Object.keys(values).join(", ");
    throw invalidField(field, `${JSON.stringify(name)} is none of ${known}`);
  }
  return values[String(name)];
}

type Short<Prefix extends string, Name> = Name extends `${Prefix}_${infer Rest}` ? Rest : never;

/** The name of an enum's value without the enum's own; UNSPECIFIED for one that is not known. */
export function short<Prefix extends string, Name extends string>(
  prefix: Prefix,
  name: Name,
): Short<Prefix, Name> {
  const known = name.startsWith(`${prefix}_`);
  return (known ? name.slice(prefix.length + 1) : "UNSPECIFIED") as Short<Prefix, Name>;
}
