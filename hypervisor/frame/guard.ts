import type { IncomingMessage } from "node:http";
import { Counter, type Registry } from "prom-client";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Queryable } from "../../lib/postgres.ts";
import { HttpProblem } from "../../lib/problem.ts";
import { explain } from "../permissions.ts";
import type { Authenticator, Identification, Principal } from "../types.ts";
import { readCookie } from "./cookies.ts";
import { appendDeed } from "./record.ts";
import type { Mutation, Requirement } from "./route.ts";
import { rowsPerMinute } from "./rows-per-minute.ts";

export interface GuardDeps {
  readonly authenticator: Authenticator;
  readonly database: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

/** What is being asked for, as the audit log will name it when it is refused. */
export interface Attempt {
  /** `POST /api/v1/users`. */
  readonly route: string;
  readonly resourceId: string;
  readonly mutation: Mutation | undefined;
  readonly ip: string;
}

/** By what somebody says who they are. */
export interface Credential {
  readonly by: "bearer" | "cookie";
  readonly value: string;
}

export interface Guard {
  /** @throws HttpProblem 401, after the attempt was written down */
  identify(
    credential: Credential | undefined,
    requirement: Requirement,
    attempt: Attempt,
  ): Promise<Principal>;
  /** @throws HttpProblem 403, after the attempt was written down */
  permit(principal: Principal, requirement: Requirement, attempt: Attempt): Promise<void>;
  /** For another reason than permissions. @throws HttpProblem 403, after the attempt was written down */
  refuse(principal: Principal, attempt: Attempt, reason: string): Promise<never>;
  /** Before anybody is known. @throws HttpProblem 403, after the attempt was written down */
  refuseStranger(attempt: Attempt, reason: string): Promise<never>;
  /** Writes down what a handler has thrown, when that is a refusal and not on record yet. */
  note(principal: Principal, attempt: Attempt, thrown: unknown): Promise<void>;
}

/** Somebody else's thing: answered as if it were not there, and put on record as the refusal that it is. */
export class HiddenProblem extends HttpProblem {}

/** Who is not signed in: nobody knows them, and they may do nothing. */
export const NOBODY: Principal = {
  name: "anonymous",
  via: "nobody",
  role: "none",
  permissions: [],
  organization: undefined,
  projects: new Set(),
};

/** Decides who passes; every refusal leaves a row in the audit log. */
export function createGuard(deps: GuardDeps): Guard {
  const { authenticator, log } = deps;
  const recordStranger = strangersRecorder(deps);
  const denied = new Counter({
    name: "arm_hypervisor_denied_total",
    help: "Requests that were refused: 401 nobody knows who asked, 403 they may not (or it is somebody else's)",
    labelNames: ["status"],
    registers: [deps.registry],
  });
  for (const status of ["401", "403"]) denied.inc({ status }, 0);
  const noted = new WeakSet();
  const note: Guard["note"] = async (principal, attempt, thrown) => {
    if (!isRefusal(thrown) || noted.has(thrown)) return;
    noted.add(thrown);
    const reason = thrown.detail ?? thrown.title;
    denied.inc({ status: "403" });
    log.warn("request refused", { route: attempt.route, principal: principal.name, reason });
    if (principal.via === "nobody") await recordStranger(attempt, reason);
    else await record(deps.database, principal, attempt, reason);
  };
  const refuse: Guard["refuse"] = async (principal, attempt, reason) => {
    const problem = new HttpProblem(403, "Not permitted", reason);
    await note(principal, attempt, problem);
    throw problem;
  };
  return {
    refuse,
    note,
    refuseStranger: async (attempt, reason) => {
      denied.inc({ status: "403" });
      log.warn("request refused", { route: attempt.route, reason });
      await recordStranger(attempt, reason);
      throw new HttpProblem(403, "Not permitted", reason);
    },
    identify: async (credential, requirement, attempt) => {
      if (requirement === "public") return NOBODY;
      const identified = await identify(authenticator, credential);
      if (identified.known) return identified.principal;
      const { reason } = identified;
      denied.inc({ status: "401" });
      log.warn("request refused", { route: attempt.route, reason });
      await recordStranger(attempt, `not authenticated: ${reason}`);
      throw new HttpProblem(
        401,
        "Not authenticated",
        `A valid bearer token is needed: ${reason}.`,
        { "WWW-Authenticate": challenge(credential) },
      );
    },
    permit: async (principal, requirement, attempt) => {
      if (requirement === "public" || requirement === "signed-in") return;
      const any = typeof requirement === "string" ? [requirement] : requirement;
      const verdicts = any.map((permission) => explain(principal, permission));
      if (verdicts.some(({ allowed }) => allowed)) return;
      const reason = verdicts.map((verdict) => verdict.reason).join("; ");
      await refuse(principal, attempt, reason);
    },
  };
}

function isRefusal(thrown: unknown): thrown is HttpProblem {
  return (
    thrown instanceof HttpProblem && (thrown.status === 403 || thrown instanceof HiddenProblem)
  );
}

const NO_TOKEN = { known: false, reason: "there is none" } as const;

async function identify(
  authenticator: Authenticator,
  credential: Credential | undefined,
): Promise<Identification> {
  if (credential === undefined) return NO_TOKEN;
  const { by, value } = credential;
  return by === "bearer" ? authenticator.identify(value) : authenticator.identifyCookie(value);
}

/** RFC 6750, 3: an error is only named when a token was given. */
function challenge(credential: Credential | undefined): string {
  return credential?.by !== "bearer"
    ? 'Bearer realm="fettle"'
    : 'Bearer realm="fettle", error="invalid_token"';
}

async function record(
  database: Queryable,
  principal: Principal,
  attempt: Attempt,
  reason: string,
): Promise<void> {
  const { mutation, route, resourceId, ip } = attempt;
  await appendDeed(database, {
    actor: principal.name,
    action: mutation?.action ?? "AccessDenied",
    resource: mutation?.resource ?? "route",
    id: resourceId === "" ? route : resourceId,
    result: "Refused",
    summary: reason,
    facts: { route },
    ip,
    organization: principal.organization,
    token: principal.token,
  });
}

function strangersRecorder({ database, clock, registry }: GuardDeps) {
  const unrecorded = new Counter({
    name: "arm_hypervisor_refusals_unrecorded_total",
    help: "Requests without a valid token that are not in the audit log, as there were too many",
    registers: [registry],
  });
  const mayWrite = rowsPerMinute(clock);
  return async (attempt: Attempt, reason: string): Promise<void> => {
    if (mayWrite()) await record(database, NOBODY, attempt, reason);
    else unrecorded.inc();
  };
}

/** What a request shows. A cookie counts where the route says so, and a token goes first. */
export function credentialOf(
  request: Pick<IncomingMessage, "headers">,
  { cookies }: { readonly cookies: boolean } = { cookies: false },
): Credential | undefined {
  const bearer = bearerOf(request);
  if (bearer !== undefined) return { by: "bearer", value: bearer };
  const cookie = cookies ? readCookie(request.headers, "fettle-session") : undefined;
  return cookie === undefined ? undefined : { by: "cookie", value: cookie };
}

/** The token of a request; browsers cannot set headers of WebSockets and name it as the subprotocol `bearer.<token>`. */
export function bearerOf({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  const { authorization, "sec-websocket-protocol": protocols } = headers;
  const given = /^Bearer ([\x21-\x7e]{1,8192})$/i.exec(authorization ?? "")?.[1];
  return given ?? /(?:^|,) *bearer\.([\w.~+/-]{1,8192}=*) *(?:,|$)/.exec(protocols ?? "")?.[1];
}
