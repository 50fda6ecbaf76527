import express, { type Express, type Request, type Response } from "express";
import { STYLESHEET } from "../lib/pages/layout.ts";
import { HttpProblem } from "../lib/problem.ts";
import type { Secret } from "../lib/secret.ts";
import type { Around } from "./around.ts";
import { anomalyPage } from "./pages/anomaly.ts";
import { overviewPage } from "./pages/overview.ts";
import { verificationPage } from "./pages/verification.ts";
import { checkToken, readFilter, readLabel } from "./read-request.ts";
import type { Anomaly, AnomalyArchive, LabelBook } from "./types.ts";
import type { Verification } from "./verify.ts";
import { anomalyView, labelView } from "./view.ts";
import type { WatchedMetric } from "./watched-metric.ts";

const BODY_LIMIT_BYTES = 16 * 1024;
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
    const anomalies = await deps.archive.list(readFilter(request.query));
    response.json({ anomalies: anomalies.map(anomalyView) });
  });
  app.get("/anomalies/:id", async (request, response) => {
    const anomaly = await findAnomaly(request, deps);
    const labels = (await deps.labels?.list(anomaly.id)) ?? [];
    if (!wantsPage(request, response)) {
      response.json({ ...anomalyView(anomaly), feedback: labels.map(labelView) });
      return;
    }
    const around = await deps.around(anomaly);
    sendPage(response, anomalyPage({ anomaly, around, labels, threshold: deps.threshold }));
  });
  addVerification(app, deps);
  addFeedback(app, deps);
}

function addVerification(app: Express, deps: RouteDeps): void {
  let running = 0;
  app.get("/anomalies/:id/verify", async (request, response) => {
    const anomaly = await findAnomaly(request, deps);
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

function addFeedback(app: Express, { labels, apiToken }: RouteDeps): void {
  const json = express.json({ limit: BODY_LIMIT_BYTES });
  // The token comes before the body: a stranger's is not read.
  const authorized = (request: Request, _response: Response, next: () => void): void => {
    checkToken(request.get("authorization"), apiToken);
    next();
  };
  app.post("/anomalies/:id/labels", authorized, json, async (request, response) => {
    const label = readLabel(request.body);
    if (labels === undefined) {
      throw new HttpProblem(503, "Not stored", "Labels need AIOPS_DATABASE_URL.");
    }
    const stored = await labels.add(idOf(request), label);
    if (stored === "unknown_anomaly") throw unknownAnomaly();
    response.status(201).json(labelView(stored));
  });
}

async function findAnomaly(request: Request, { archive }: RouteDeps): Promise<Anomaly> {
  const anomaly = await archive.find(idOf(request));
  if (anomaly === undefined) throw unknownAnomaly();
  return anomaly;
}

/** An id is never longer, and PostgreSQL refuses NUL. */
function idOf(request: Request): string {
  const id = String(request.params["id"]);
  if (!/^[\w-]{1,100}$/.test(id)) throw unknownAnomaly();
  return id;
}

function unknownAnomaly(): HttpProblem {
  return new HttpProblem(404, "Unknown anomaly", "There is no anomaly with this id.");
}

function wantsPage(request: Request, response: Response): boolean {
  response.vary("Accept");
  return request.accepts(["json", "html"]) === "html";
}

function sendPage(response: Response, text: string): void {
  response.set("Cache-Control", "no-store").type("html").send(text);
}
