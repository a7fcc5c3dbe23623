/** A server and a client of it for the length of one test. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerOptions } from "@grpc/grpc-js";
import { Client, type ClientOptions } from "seqway";
import type { Fake } from "../fake/fake.js";
import { FakeServer } from "../fake/server.js";

const PATIENCE = 15_000;

export async function connected(
  test: TestContext,
  options: ClientOptions = {},
  ofServer: ServerOptions = {},
): Promise<{ server: FakeServer; client: Client }> {
  const server = new FakeServer(ofServer);
  await server.start();
  const client = new Client({ address: server.address, ...options });
  test.after(() => {
    client.close();
    server.stop();
  });
  return { server, client };
}

/** Resolves when so many requests have come to a fake. */
export async function reached(fake: Fake, requests = 1): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (fake.requests.length < requests) {
    assert.ok(performance.now() < deadline, `${fake.requests.length} requests have come`);
    await sleep(5);
  }
}

/** All that an iterable yields. */
export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}

/** Sets a variable of the environment for the length of one test. */
export function variable(test: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  test.after(() => {
    if (before === undefined) {
      delete process.env[name];
    } else {
      process.env[name] = before;
    }
  });
}
