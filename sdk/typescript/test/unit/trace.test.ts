import assert from "node:assert/strict";
import { test } from "node:test";
import { context, propagation, TraceFlags, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { all, connected } from "./setup.js";

const languages = { source: "en", target: "fr" };

test("the context of the active span goes with each call", async (t) => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  t.after(() => {
    context.disable();
    propagation.disable();
  });
  const { client, server } = await connected(t);
  const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
  const active = trace.setSpanContext(context.active(), {
    ...span,
    traceFlags: TraceFlags.SAMPLED,
  });
  await context.with(active, async () => {
    await client.translate("x", languages);
    await all(client.streamTranslate("x", languages));
    await client.jobs.summarize(["x"]);
  });
  await client.translate("outside", languages);
  const sent = [...server.translation.metadata, ...server.jobs.metadata];
  assert.deepEqual(
    sent.map((metadata) => metadata.get("traceparent")),
    [
      ...Array(2).fill([`00-${span.traceId}-${span.spanId}-01`]),
      [],
      [`00-${span.traceId}-${span.spanId}-01`],
    ],
  );
});
