// A stand-in of your own application, so that rules and dashboards have something to show: `node ops/demo/source.ts [port]`.
import { createServer } from "node:http";
import { createDemoMetrics } from "./metrics.ts";

const DEFAULT_PORT = 9470;
const STEP_MS = 1_000;

const { registry, step } = createDemoMetrics();
step();
setInterval(step, STEP_MS).unref();

const server = createServer((_request, response) => {
  void registry.metrics().then((text) => {
    response.setHeader("content-type", registry.contentType);
    response.end(text);
  });
});
server.listen(Number(process.argv[2] ?? DEFAULT_PORT));
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, () => {
    server.closeAllConnections();
    server.close();
  });
