import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ServerCredentials } from "@grpc/grpc-js";
import { generate } from "selfsigned";
import { Client, type ClientOptions, UnavailableError } from "seqway";
import { FakeServer } from "../fake/server.js";
import { connected, variable } from "./setup.js";

const languages = { source: "en", target: "fr" };

/** An authority, and a certificate and key that it signed for a host. */
async function certificates() {
  const same = { keyType: "ec", algorithm: "sha256" } as const;
  const authority = await generate([{ name: "commonName", value: "Test CA" }], {
    ...same,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true, critical: true },
    ],
  });
  const signed = await generate([{ name: "commonName", value: "localhost" }], {
    ...same,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }],
  });
  const [ca, certificate, key] = [authority.cert, signed.cert, signed.private].map(Buffer.from);
  return { ca, certificate, key } as Record<"ca" | "certificate" | "key", Buffer>;
}

async function secured(t: TestContext, { clientCertificate = false } = {}) {
  const pem = await certificates();
  const pair = { private_key: pem.key, cert_chain: pem.certificate };
  const server = new FakeServer();
  const credentials = ServerCredentials.createSsl(pem.ca, [pair], clientCertificate);
  await server.start("localhost:0", credentials);
  t.after(() => server.stop());
  return { server, pem };
}

async function answers(options: ClientOptions): Promise<boolean> {
  using client = new Client(options);
  return (await client.translate("x", languages)).text === "X";
}

test("a server with a certificate of the authority is trusted, no other is", async (t) => {
  const { server, pem } = await secured(t);
  const { address } = server;
  assert.ok(await answers({ address, tls: { ca: pem.ca } }));
  const other = (await certificates()).ca;
  await assert.rejects(answers({ address, tls: { ca: other } }), UnavailableError);
  await assert.rejects(answers({ address, tls: true }), UnavailableError);
  await assert.rejects(answers({ address }), UnavailableError);
});

test("the name in the certificate counts", async (t) => {
  const { server, pem } = await secured(t);
  const tls = { ca: pem.ca, serverName: "other" };
  await assert.rejects(answers({ address: server.address, tls }), UnavailableError);
  const address = server.address.replace("localhost", "127.0.0.1");
  await assert.rejects(answers({ address, tls: { ca: pem.ca } }), UnavailableError);
  assert.ok(await answers({ address, tls: { ca: pem.ca, serverName: "localhost" } }));
});

test("a client shows its own certificate, also from files that variables name", async (t) => {
  const { server, pem } = await secured(t, { clientCertificate: true });
  const { address } = server;
  assert.ok(await answers({ address, tls: pem }));
  await assert.rejects(answers({ address, tls: { ca: pem.ca } }), UnavailableError);
  const folder = await mkdtemp(join(tmpdir(), "seqway-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, bytes] of Object.entries(pem)) {
    await writeFile(join(folder, name), bytes);
    variable(t, `SEQWAY_TLS_${name.toUpperCase()}`, join(folder, name));
  }
  assert.ok(await answers({ address }));
  assert.ok(await answers({ address, tls: true }));
  await assert.rejects(answers({ address, tls: false }), UnavailableError);
});

test("half of a pair, and a file that is missing, are named", () => {
  const pem = Buffer.from("");
  assert.throws(() => new Client({ tls: { certificate: pem } }), /certificate and key/);
  assert.throws(() => new Client({ tls: { ca: "/missing.pem" } }), /missing\.pem/);
});

test("key and tenant go with each call, also by the environment", async (t) => {
  const { client, server } = await connected(t, { apiKey: "abc", tenant: "me" });
  await client.translate("x", languages);
  variable(t, "SEQWAY_API_KEY", "def");
  variable(t, "SEQWAY_TENANT", "you");
  assert.ok(await answers({ address: server.address }));
  const [first, second] = server.translation.metadata;
  assert.deepEqual(first?.get("authorization"), ["Bearer abc"]);
  assert.deepEqual(first.get("x-seqway-tenant"), ["me"]);
  assert.deepEqual(second?.get("authorization"), ["Bearer def"]);
  assert.deepEqual(second.get("x-seqway-tenant"), ["you"]);
});

test("a key leaves this machine over TLS only, unless the caller says otherwise", () => {
  const apiKey = "abc";
  const made = (address: string, options: ClientOptions = {}) =>
    new Client({ address, apiKey, ...options }).close();
  for (const address of [
    "gateway:50051",
    "dns:///10.0.0.1:50051",
    "dns:///localhost.example.com:50051",
    "dns://10.0.0.53/localhost:50051",
    "ipv4:127.0.0.1:50051,10.0.0.1:50051",
    "127.0.0.1.example.com:50051",
  ]) {
    assert.throws(() => made(address), /the connection to .* has no TLS/, address);
    made(address, { tls: true });
    made(address, { allowPlaintextKey: true });
  }
  for (const address of [
    "localhost:50051",
    "127.0.0.1:50051",
    "[::1]:50051",
    "dns:///localhost:50051",
    "ipv4:127.0.0.1:50051",
    "unix:/run/seqway.sock",
  ]) {
    made(address);
  }
});

test("what is meant for this machine does not leave it through a proxy", async (t) => {
  const { server } = await connected(t);
  variable(t, "http_proxy", "http://127.0.0.1:9");
  assert.ok(await answers({ address: server.address, apiKey: "abc" }));
});
