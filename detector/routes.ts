import type { Express, Request, Response } from "express";
import { STYLESHEET } from "../lib/pages/layout.ts";
import { HttpProblem } from "../lib/problem.ts";
import type { Secret } from "../lib/secret.ts";
import type { Around } from "./around.ts";
import { addLabelRoutes } from "./label-routes.ts";
import { anomaliesPage, queryOf } from "./pages/anomalies.ts";
import { anomalyPage } from "./pages/anomaly.ts";
import type { TypedLabel } from "./pages/label-form.ts";
import { overviewPage } from "./pages/overview.ts";
import { verificationPage } from "./pages/verification.ts";
import { cursorOf, readFilter, readId, unknownAnomaly } from "./read-request.ts";
import type { Anomaly, AnomalyArchive } from "./types/anomaly.ts";
import type { AnomalyLabel, LabelBook } from "./types/labels.ts";
import type { Verification } from "./verify.ts";
import { anomalyView, labelView } from "./view.ts";
import type { WatchedMetric } from "./watched-metric.ts";

const CLOSED_SHOWN = 10;
/** A verification reads up to forty thousand points: one at a time, so that nobody can keep the scorer from its work. */
const VERIFICATIONS_MAX = 1;
const BUSY_RETRY_SECONDS = "5";

export interface RouteDeps {
  readonly watched: readonly WatchedMetric[];
  readonly archive: AnomalyArchive;
  /** Undefined without a database. */
  readonly labels: LabelBook | undefined;
  readonly apiToken: Secret | undefined;
  readonly threshold: number;
  readonly around: (anomaly: Anomaly) => Promise<Around>;
  readonly verify: (anomaly: Anomaly) => Promise<Verification>;
}

/** What people and programs can ask the detector: pages for those who accept HTML, JSON for all others. */
export function addRoutes(app: Express, deps: RouteDeps): void {
  app.get("/", async (_request, response) => {
    // Without its database the page still shows what is open: that is in memory.
    const closed = await deps.archive
      .list({ limit: CLOSED_SHOWN, state: "closed" })
      .catch(() => []);
    sendPage(response, overviewPage(deps.watched, closed));
  });
  app.get("/assets/fettle.css", (_request, response) => {
    response.type("css").send(STYLESHEET);
  });
  app.get("/anomalies", async (request, response) => {
    const filter = readFilter(request.query);
    // One more than shown tells whether there is more.
    const found = await deps.archive.list({ ...filter, limit: filter.limit + 1 });
    const anomalies = found.slice(0, filter.limit);
    const last = found.length > anomalies.length ? anomalies.at(-1) : undefined;
    const next = last && cursorOf(last);
    if (!wantsPage(request, response)) {
      response.json({ anomalies: anomalies.map(anomalyView), next: next ?? null });
      return;
    }
    const metrics = deps.watched.map(({ query }) => query.name);
    const older = next === undefined ? undefined : queryOf(filter, next);
    sendPage(response, anomaliesPage({ anomalies, filter, metrics, older }));
  });
  app.get("/anomalies/:id", async (request, response) => {
    const anomaly = await findAnomaly(readId(request.params), deps);
    if (wantsPage(request, response)) {
      sendPage(response, await showAnomaly(anomaly, deps));
      return;
    }
    const labels = await labelsOf(anomaly, deps);
    response.json({ ...anomalyView(anomaly), feedback: labels.map(labelView) });
  });
  addVerification(app, deps);
  addLabelRoutes(app, {
    ...deps,
    showAgain: async (id, typed) => showAnomaly(await findAnomaly(id, deps), deps, typed),
  });
}

function addVerification(app: Express, deps: RouteDeps): void {
  let running = 0;
  app.get("/anomalies/:id/verify", async (request, response) => {
    const anomaly = await findAnomaly(readId(request.params), deps);
    if (running >= VERIFICATIONS_MAX) {
      throw new HttpProblem(429, "Busy", "Another anomaly is being verified; try again.", {
        "Retry-After": BUSY_RETRY_SECONDS,
      });
    }
    running += 1;
    try {
      const verification = await deps.verify(anomaly);
      if (wantsPage(request, response)) sendPage(response, verificationPage(anomaly, verification));
      else response.json({ id: anomaly.id, ...verification });
    } finally {
      running -= 1;
    }
  });
}

/** The page of one anomaly; `typed` is what somebody has said and was not taken. */
async function showAnomaly(anomaly: Anomaly, deps: RouteDeps, typed?: TypedLabel): Promise<string> {
  const [around, labels] = await Promise.all([deps.around(anomaly), labelsOf(anomaly, deps)]);
  const mayLabel = deps.labels !== undefined && deps.apiToken !== undefined;
  const { threshold } = deps;
  return anomalyPage({ anomaly, around, labels, mayLabel, typed, threshold });
}

async function labelsOf(anomaly: Anomaly, { labels }: RouteDeps): Promise<readonly AnomalyLabel[]> {
  return (await labels?.list(anomaly.id)) ?? [];
}

async function findAnomaly(id: string, { archive }: RouteDeps): Promise<Anomaly> {
  const anomaly = await archive.find(id);
  if (anomaly === undefined) throw unknownAnomaly();
  return anomaly;
}

function wantsPage(request: Request, response: Response): boolean {
  response.vary("Accept");
  return request.accepts(["json", "html"]) === "html";
}

function sendPage(response: Response, text: string): void {
  response.set("Cache-Control", "no-store").type("html").send(text);
}
