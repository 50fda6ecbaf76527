// Loaded by `--import` (bin/fettle) when an OTLP endpoint is set, before anything else: the hook must be registered
// before the instrumentations are imported, and these before what they instrument.
import { register } from "node:module";
import { diag, DiagConsoleLogger, DiagLogLevel } from "@opentelemetry/api";
import { serviceName } from "./service-name.ts";

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
// eslint-disable-next-line @typescript-eslint/no-deprecated -- the hook has no registerHooks form yet (0.301)
register("@opentelemetry/instrumentation/hook.mjs", import.meta.url);

const [
  { AsyncLocalStorageContextManager },
  { OTLPTraceExporter },
  { registerInstrumentations },
  { ExpressInstrumentation },
  { HttpInstrumentation },
  { PgInstrumentation },
  { UndiciInstrumentation },
  { detectResources, envDetector, resourceFromAttributes },
  { BatchSpanProcessor, TracerProvider },
] = await Promise.all([
  import("@opentelemetry/context-async-hooks"),
  import("@opentelemetry/exporter-trace-otlp-http"),
  import("@opentelemetry/instrumentation"),
  import("@opentelemetry/instrumentation-express"),
  import("@opentelemetry/instrumentation-http"),
  import("@opentelemetry/instrumentation-pg"),
  import("@opentelemetry/instrumentation-undici"),
  import("@opentelemetry/resources"),
  import("@opentelemetry/sdk-trace"),
]);
const [{ context, propagation, trace }, { W3CTraceContextPropagator }] = await Promise.all([
  import("@opentelemetry/api"),
  import("@opentelemetry/core"),
]);

const provider = new TracerProvider({
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
  resource: resourceFromAttributes({
    "service.name": serviceName(process.argv.slice(2), process.env),
  }).merge(detectResources({ detectors: [envDetector] })),
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
});
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
trace.setGlobalTracerProvider(provider);
registerInstrumentations({
  tracerProvider: provider,
  instrumentations: [
    new HttpInstrumentation({
      redactedQueryParamsServer: ["token"], // who holds an approval link may answer in its owner's name
      ignoreIncomingRequestHook: ({ url }) => /^\/(health|ready|metrics)/.test(url ?? ""),
    }),
    new ExpressInstrumentation(),
    new PgInstrumentation({ requireParentSpan: true }),
    new UndiciInstrumentation(),
  ],
});

// The last spans are those of the shutdown itself, which are worth as much as any. A collector that is away fails no command,
// and keeps no service from stopping in order.
const untold = (error: unknown) => {
  diag.warn("the last spans were not taken", error);
};
process.once("beforeExit", () => void provider.shutdown().catch(untold));
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, () => void provider.forceFlush().catch(untold));
