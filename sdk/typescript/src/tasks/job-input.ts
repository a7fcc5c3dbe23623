/** The input of a batch job: a file, a URI, bytes, or the lines themselves. */

import { createReadStream } from "node:fs";
import { basename, extname } from "node:path";
import { choice } from "../choice.js";
import { invalidField } from "../errors.js";
import * as pb from "../generated/seqway/v1/job.js";

/** A text, or an object with the members of a line of JSON. */
export type JobLine = string | Readonly<Record<string, unknown>>;

/**
 * A file of this machine, the URI of one that the server reads, or what yields the lines: texts,
 * objects, or the bytes of a file (a stream without an encoding).
 */
export type JobLines =
  | { readonly file: string }
  | string
  | Iterable<JobLine | Uint8Array>
  | AsyncIterable<JobLine | Uint8Array>;

/** How the input is to be read. */
export interface JobInputOptions {
  /** By default by the file's name; JSON Lines where it has no suffix. */
  readonly format?: "jsonl" | "csv" | "tsv" | "text" | "parquet";
  /** By default by the first bytes. */
  readonly compression?: "none" | "gzip" | "zstd";
  /** The member or column of the text; "text" by default. */
  readonly textField?: string;
  /** That of the line's id; "custom_id" by default, and it may be missing. */
  readonly customIdField?: string;
  /** That of the question; "question" by default. */
  readonly questionField?: string;
}

const FORMATS = {
  jsonl: pb.JobInputFormat.JSON_LINES,
  csv: pb.JobInputFormat.CSV,
  tsv: pb.JobInputFormat.TSV,
  text: pb.JobInputFormat.TEXT,
  parquet: pb.JobInputFormat.PARQUET,
};
const COMPRESSIONS = {
  none: pb.JobInputCompression.NONE,
  gzip: pb.JobInputCompression.GZIP,
  zstd: pb.JobInputCompression.ZSTD,
};
/** As the server reads the names of URIs. */
const SUFFIXES: Readonly<Record<string, pb.JobInputFormat>> = {
  "": FORMATS.jsonl,
  ".jsonl": FORMATS.jsonl,
  ".ndjson": FORMATS.jsonl,
  ".json": FORMATS.jsonl,
  ".csv": FORMATS.csv,
  ".tsv": FORMATS.tsv,
  ".txt": FORMATS.text,
  ".text": FORMATS.text,
  ".parquet": FORMATS.parquet,
};
const PIECE_BYTES = 256 * 1024;
// A server ends uploads that stand still: what slow lines have filled so far goes out meanwhile.
const PIECE_TIME = 5_000;

/** How the server is to read the lines. */
export function inputMessage(lines: JobLines, options: JobInputOptions): pb.JobInput {
  const isUri = typeof lines === "string";
  if (isUri && !lines.includes("://")) {
    throw invalidField("lines", `${lines} is no URI: give {file} for a file, an array for texts`);
  }
  const byName = isFile(lines) ? formatOf(lines.file) : undefined;
  return pb.JobInput.fromPartial({
    uri: isUri ? lines : "",
    format: choice("format", FORMATS, options.format) ?? byName,
    compression: choice("compression", COMPRESSIONS, options.compression),
    textField: options.textField,
    customIdField: options.customIdField,
    questionField: options.questionField,
  });
}

/** By the suffix, below one of a compression; JSON Lines where there is none. */
function formatOf(file: string): pb.JobInputFormat {
  const name = file.toLowerCase().replace(/\.(gz|zst)$/, "");
  const known = SUFFIXES[extname(name)];
  if (known === undefined) {
    throw invalidField(
      "format",
      `the name of ${basename(file)} tells none: taken are JSON Lines (.jsonl), CSV (.csv), TSV ` +
        "(.tsv), plain text with one text a line (.txt) and Parquet (.parquet), each plain or in " +
        "gzip (.gz) or zstd (.zst); if it is one of these under another name, give its format: " +
        Object.keys(FORMATS).join(", "),
    );
  }
  return known;
}

/** The bytes to upload, a piece at a time; none for a URI. */
export async function* pieces(
  lines: JobLines,
  textField: string,
): AsyncGenerator<Buffer, void, undefined> {
  if (typeof lines === "string") {
    return;
  }
  const source = isFile(lines) ? createReadStream(lines.file) : lines;
  let waiting: Uint8Array[] = [];
  let size = 0;
  let sent = performance.now();
  for await (const line of source as AsyncIterable<JobLine | Uint8Array>) {
    const bytes = line instanceof Uint8Array ? line : encoded(line, textField);
    waiting.push(bytes);
    size += bytes.length;
    if (size >= PIECE_BYTES || performance.now() - sent > PIECE_TIME) {
      yield* slices(Buffer.concat(waiting));
      waiting = [];
      size = 0;
      sent = performance.now();
    }
  }
  yield* slices(Buffer.concat(waiting));
}

function* slices(bytes: Buffer): Generator<Buffer, void, undefined> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    yield bytes.subarray(start, start + PIECE_BYTES);
  }
}

function encoded(line: JobLine, textField: string): Uint8Array {
  const row = typeof line === "string" ? { [textField || "text"]: line } : line;
  return Buffer.from(`${JSON.stringify(row)}\n`);
}

function isFile(lines: JobLines): lines is { readonly file: string } {
  return typeof lines === "object" && "file" in lines;
}
