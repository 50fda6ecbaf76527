import { alertSchema, type Alert } from "../../lib/contracts.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { parseFrame } from "../parse.ts";

export interface PastedAlerts {
  readonly alerts: readonly Alert[];
  readonly truncated: boolean;
}

/**
 * What a person pastes: a whole notification as Alertmanager, Grafana or the detector sends it; one alert of it; or nothing
 * but its labels.
 *
 * @throws HttpProblem 400 saying where and what was expected
 */
export function readAlerts(text: string, now: Date): PastedAlerts {
  const value = jsonIn(text);
  if (value !== undefined && !Object.hasOwn(value, "alerts")) {
    const labels = Object.hasOwn(value, "labels") ? value : { labels: value };
    const alert = { status: "firing", startsAt: now.toISOString(), ...labels };
    const parsed = alertSchema.safeParse(alert);
    if (parsed.success) return { alerts: [parsed.data], truncated: false };
    const [issue] = parsed.error.issues;
    throw unreadable(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "cannot be read"}`);
  }
  const parsed = parseFrame(Buffer.from(text));
  if (parsed.kind === "malformed") throw unreadable(parsed.problem);
  const { alerts, truncatedAlerts } = parsed.frame;
  return { alerts, truncated: truncatedAlerts > 0 };
}

/** Undefined for anything that is not an object: the frame's own parser says what is wrong with it. */
function jsonIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function unreadable(why: string): HttpProblem {
  return new HttpProblem(400, "Bad request", `alert: ${why}`);
}
