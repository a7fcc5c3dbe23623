/** The examples of a document, as a program that runs. */

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const root = resolve(import.meta.dirname, "..");
const run = promisify(execFile);

const CONFIGURATION = {
  extends: "../../../tsconfig.json",
  compilerOptions: { rootDir: ".", outDir: ".", declaration: false },
  include: ["examples.ts"],
  exclude: [],
};

/**
 * Joins the examples of a document, checks their types, runs them, and returns what they print.
 * `document` is a path below the package.
 */
export async function printed(document: string, address: string): Promise<string> {
  const text = await readFile(join(root, document), "utf8");
  const examples = [...text.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code]) => code);
  // Below the package, where "seqway" is the package itself.
  const folder = join(root, "build", "documents", document.replaceAll(/\W/g, "-"));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "examples.ts"), examples.join("\n"));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(CONFIGURATION));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [compiler, "-p", folder]).catch(({ stdout }) => {
    throw new Error(`${document}: ${stdout}`);
  });
  const env = { ...process.env, SEQWAY_ADDRESS: address };
  return (await run(process.execPath, [join(folder, "examples.js")], { env })).stdout;
}
