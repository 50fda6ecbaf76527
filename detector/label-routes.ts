import express, { type Express, type Request, type RequestHandler, type Response } from "express";
import { HttpProblem } from "../lib/problem.ts";
import type { Secret } from "../lib/secret.ts";
import type { TypedLabel } from "./pages/label-form.ts";
import {
  checkAuthorization,
  checkToken,
  labelOfForm,
  readId,
  readLabel,
  readLabelForm,
  unknownAnomaly,
} from "./read-request.ts";
import type { AnomalyLabel, LabelBook } from "./types/labels.ts";
import { labelView } from "./view.ts";

const BODY_LIMIT_BYTES = 16 * 1024;
const FIELDS_MAX = 10;

export interface LabelRouteDeps {
  /** Undefined without a database. */
  readonly labels: LabelBook | undefined;
  readonly apiToken: Secret | undefined;
  /** The anomaly's page with what was typed. @throws HttpProblem 404 */
  readonly showAgain: (anomalyId: string, typed: TypedLabel) => Promise<string>;
}

/** What people say about anomalies: a form's fields from the page, JSON from programs. */
export function addLabelRoutes(app: Express, deps: LabelRouteDeps): void {
  const json = express.json({ limit: BODY_LIMIT_BYTES });
  const form = express.urlencoded({
    ...{ extended: false, limit: BODY_LIMIT_BYTES, parameterLimit: FIELDS_MAX },
  });
  const path = "/anomalies/:id/labels";
  app.post(path, onlyForms, ownPagesOnly, form, async (request, response) => {
    await takeForm(request, response, deps);
  });
  // The token comes before the body: a stranger's is not read.
  const authorized: RequestHandler = (request, _response, next) => {
    checkAuthorization(request.get("authorization"), deps.apiToken);
    next();
  };
  app.post(path, authorized, json, async (request, response) => {
    const stored = await store(readId(request.params), readLabel(request.body), deps);
    response.status(201).json(labelView(stored));
  });
}

const onlyForms: RequestHandler = (request, _response, next) => {
  next(request.is("urlencoded") === "urlencoded" ? undefined : "route");
};

/**
 * A form of another site cannot know the token, and there is no cookie that would stand for it. A browser that says where
 * a form comes from is believed before the token is even looked at.
 */
const ownPagesOnly: RequestHandler = (request, _response, next) => {
  const site = request.get("sec-fetch-site") ?? "none";
  if (site !== "same-origin" && site !== "none") {
    throw new HttpProblem(403, "Not allowed", "This form was sent by another site.");
  }
  next();
};

async function takeForm(request: Request, response: Response, deps: LabelRouteDeps): Promise<void> {
  const id = readId(request.params);
  const { token, ...typed } = readLabelForm(request.body);
  try {
    checkToken(token, deps.apiToken);
    await store(id, labelOfForm(typed), deps);
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    const { status, headers, detail: problem = error.title } = error;
    const text = await deps.showAgain(id, { ...typed, problem });
    response.status(status).set(headers).set("Cache-Control", "no-store").type("html").send(text);
    return;
  }
  response.redirect(303, `/anomalies/${id}#say`);
}

async function store(
  anomalyId: string,
  label: Omit<AnomalyLabel, "at">,
  { labels }: LabelRouteDeps,
): Promise<AnomalyLabel> {
  if (labels === undefined) {
    throw new HttpProblem(503, "Not stored", "Labels need AIOPS_DATABASE_URL.");
  }
  const stored = await labels.add(anomalyId, label);
  if (stored === "unknown_anomaly") throw unknownAnomaly();
  return stored;
}
