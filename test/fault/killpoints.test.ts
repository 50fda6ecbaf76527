import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { linkToken } from "../../runbooks/approve.ts";
import { findApproval } from "../../runbooks/approve.ts";
import { Secret } from "../../lib/secret.ts";
import { ACTIVE_STATES } from "../../runbooks/types.ts";
import { fettle, waitUntil } from "../fakes/fettle.ts";
import { brokenInvariants } from "./invariants.ts";
import { givenWorld, type World } from "./world.ts";

/** Where a process is killed, and what the alert does meanwhile. */
interface KillPoint {
  readonly name: string;
  readonly resolvesBeforeAnybodyAnswers?: true;
}

/** Reliability §2.4, as far as the steps exist. */
const KILL_POINTS: readonly KillPoint[] = [
  { name: "received-before-commit" },
  { name: "received-after-commit" },
  { name: "inbox-claimed" },
  { name: "run-created" },
  { name: "after-matched" },
  { name: "after-approval_pending", resolvesBeforeAnybodyAnswers: true },
  { name: "answered-before-commit" },
  { name: "answered-after-commit" },
  { name: "after-approved" },
  { name: "before-cluster-call" },
  { name: "after-cluster-call" },
  { name: "after-intent" },
  { name: "after-verifying" },
];
