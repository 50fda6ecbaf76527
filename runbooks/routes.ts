import type { Express } from "express";
import { addApprovalRoutes, type ApprovalRouteDeps } from "./routes/approval.ts";
import { addAssetRoutes } from "./routes/assets.ts";
import { demandPermissions } from "./routes/guarded.ts";
import { addIntakeRoutes, type IntakeRouteDeps } from "./routes/intake.ts";
import { addPageRoutes, type PageRouteDeps } from "./routes/pages.ts";
import { addSlackRoutes, type SlackRouteDeps } from "./routes/slack.ts";

export interface RouteDeps
  extends IntakeRouteDeps, ApprovalRouteDeps, SlackRouteDeps, PageRouteDeps {}

/** In this order: whoever wants a request's raw bytes comes before those who read bodies. */
export function addRoutes(app: Express, deps: RouteDeps): void {
  addSlackRoutes(app, deps);
  addIntakeRoutes(app, deps);
  addApprovalRoutes(app, deps);
  addAssetRoutes(app);
  addPageRoutes(app, deps);
  demandPermissions(app);
}
