/** A server and a client of it for the length of one test. */

import type { TestContext } from "node:test";
import type { ServerOptions } from "@grpc/grpc-js";
import { Client, type ClientOptions } from "seqway";
import { FakeServer } from "../fake/server.js";

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
