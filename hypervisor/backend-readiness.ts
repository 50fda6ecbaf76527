import type { Readiness } from "../lib/http.ts";
import type { Backend } from "./backends/types.ts";

/** /ready is asked often, by something that does not wait long. */
const ASK_MS = 1_000;

/**
 * Adds whether the backend answers. People, the record and the logs do not need it, so that it never makes the service unready:
 * it shows in /health.
 */
export async function withBackend(readiness: Readiness, backend: Backend): Promise<Readiness> {
  if (backend.name === "none") return readiness;
  const check = await backend.host
    .info({}, { signal: AbortSignal.timeout(ASK_MS) })
    .then(() => ({ ok: true })) // its version is nobody's business here: /health is open to everybody
    .catch(() => ({ ok: false, detail: "does not answer" }));
  return { ...readiness, checks: { ...readiness.checks, backend: check } };
}
