import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { FakeServer } from "../fake/server.js";

const root = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

const PROGRAM = `
import { createRequire } from "node:module";
import { Client } from "seqway";

try {
  createRequire(import.meta.url)("@opentelemetry/api");
  process.exit(3);
} catch {}
const client = new Client();
console.log((await client.translate("alone", { source: "en", target: "fr" })).text);
client.close();
`;

/** The names of the files in the package, which is installed below a folder. */
async function installed(t: TestContext): Promise<{ home: string; names: string[] }> {
  const home = await mkdtemp(join(tmpdir(), "seqway-"));
  t.after(() => rm(home, { recursive: true }));
  const modules = join(home, "node_modules");
  const target = join(modules, "seqway");
  await mkdir(target, { recursive: true });
  const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", home];
  const [packed] = JSON.parse((await run("npm", pack, { cwd: root })).stdout);
  await run("tar", ["-xzf", join(home, packed.filename), "--strip-components=1", "-C", target]);
  for (const dependency of ["@grpc", "@bufbuild"]) {
    await symlink(join(root, "node_modules", dependency), join(modules, dependency));
  }
  return { home, names: packed.files.map(({ path }: { path: string }) => path) };
}

test("the package works alone, without OpenTelemetry and what else builds it", async (t) => {
  const { home, names } = await installed(t);
  assert.ok(names.includes("dist/index.d.ts") && names.includes("README.md"));
  assert.ok(!names.some((name) => /^(src|test|build)\b/.test(name)));
  const server = new FakeServer();
  await server.start();
  t.after(() => server.stop());
  await writeFile(join(home, "program.mjs"), PROGRAM);
  const env = { ...process.env, SEQWAY_ADDRESS: server.address };
  const { stdout } = await run(process.execPath, ["program.mjs"], { cwd: home, env });
  assert.equal(stdout, "ALONE\n");
});
