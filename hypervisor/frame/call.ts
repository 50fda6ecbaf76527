import type { Queryable } from "../../lib/postgres.ts";
import type { AuditAction } from "../audit-actions.ts";
import type { Permission } from "../permissions.ts";
import type { Principal } from "../types.ts";
import type { AnyAnswer } from "./answer.ts";

/** What a change is about, for the audit log. The action and the type are the route's, unless said otherwise. */
export interface ChangeSubject {
  /** The object's own name or id: `web-server`. */
  readonly id: string;
  /** One sentence for people: `Created alpine container`. */
  readonly summary: string;
  /** What else is worth keeping; no secrets. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly action?: AuditAction;
  /** Whose organization may see the row; the caller's own unless set. */
  readonly organization?: string | undefined;
  /** Who did it where nobody is signed in yet: the name of a login. */
  readonly actor?: string;
  /** `change` only writes down what is to be done: its row is `Started`, and whoever does it writes that of the end. */
  readonly begins?: true;
  /** Asked after the work of a `change`: false where it changed nothing but a history that is kept elsewhere. */
  readonly isNews?: () => boolean;
}

/** One request that was understood and allowed. */
export interface Call<P = unknown, Q = unknown, B = unknown, R extends AnyAnswer = AnyAnswer> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Who asks; `anonymous` without permissions on a public route. */
  readonly principal: Principal;
  readonly correlationId: string;
  readonly ip: string;
  /** `?dryRun=true`: everything is checked and nothing is done. */
  readonly dryRun: boolean;
  /** The request's own, aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** A header of the request; undefined when it was not sent. */
  readonly header: (name: string) => string | undefined;
  /** @throws HttpProblem 403 with the reason; the attempt is in the audit log by then */
  readonly require: (permission: Permission, resourceId: string) => Promise<void>;
  /** @throws HttpProblem 404 for a project of somebody else's, as if it were not there */
  readonly project: (name: string) => string;
  /** @throws HttpProblem 412 when `If-Match` names another version; without the header everything passes */
  readonly ifMatch: (etag: string) => void;
  /**
   * A change of our own tables: the work, its audit row and the answer for the same Idempotency-Key are one transaction.
   * With dryRun the work is done and rolled back. An HttpProblem is recorded as refused or failed, and thrown.
   */
  readonly change: (subject: ChangeSubject, work: (tx: Queryable) => Promise<R>) => Promise<R>;
  /**
   * A change outside the database: a row `Started` is committed before, one with the result after. With dryRun the work
   * is not done: what stands before this call is the check. The Idempotency-Key is taken before the work; when
   * the work is refused (an HttpProblem below 500) it is free again.
   */
  readonly perform: (subject: ChangeSubject, work: () => Promise<R>) => Promise<R>;
}
