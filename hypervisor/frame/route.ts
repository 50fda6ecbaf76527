import type { Readable } from "node:stream";
import type { z } from "zod";
import type { AuditAction, ResourceType } from "../audit-actions.ts";
import type { Permission } from "../permissions.ts";
import type { Call } from "./call.ts";

/** `public`: somebody has decided that everybody may. `signed-in`: whoever is known, about their own things only. */
export type Requirement = Permission | readonly Permission[] | "public" | "signed-in";

/** A body that is no JSON: a text, bytes or a stream of this media type. */
interface Media {
  readonly media: string;
}

/** What a route may answer, by status: a schema for JSON, a media type, or nothing. Problems (4xx, 5xx) are not listed. */
export type AnswerTable = Readonly<Record<number, z.ZodType | Media | "nothing">>;

/** What a route does to the world; it takes `?dryRun=true`, and `Idempotency-Key` when it is a POST. */
export interface Mutation {
  readonly action: AuditAction;
  readonly resource: ResourceType;
  /** The answer holds a secret: it is not kept for whoever sends the same Idempotency-Key again. */
  readonly secretAnswer?: true;
  /** Fields of the body that people can guess at: nothing that follows from them is kept. */
  readonly secretFields?: readonly string[];
}

type Method = "get" | "post" | "put" | "patch" | "delete";

/** Everything that the outside world must know of a route: the router, the guard and /openapi.json are made from it. */
export interface RouteDefinition<
  P extends z.ZodType = z.ZodType<Nothing>,
  Q extends z.ZodType = z.ZodType<Nothing>,
  B extends z.ZodType = z.ZodType<undefined>,
  A extends AnswerTable = AnswerTable,
> {
  readonly method: Method;
  /** `/api/v1/users/:username`. */
  readonly path: string;
  /** Several: any of them lets the caller in, and the handler asks for the one it needs (`call.require`). */
  readonly permission: Requirement;
  readonly summary: string;
  /** Values are texts. Without a schema the path has no parameters. */
  readonly params?: P;
  /** A strict object of texts: an unknown name is refused. Without it there are no parameters. */
  readonly query?: Q;
  readonly body?: B;
  /** The body is a form (application/x-www-form-urlencoded) instead of JSON, or may be either. */
  readonly form?: "only" | "too";
  readonly answers: A;
  /** Every method but GET needs it; `nothing` says that nothing is changed. */
  readonly mutates?: Mutation | "nothing";
}

export type Nothing = Readonly<Record<string, never>>;

/** What a handler returns: one of the statuses of the table, with the body that stands there. */
type AnswerOf<A extends AnswerTable> = {
  [S in keyof A & number]: {
    readonly status: S;
    readonly headers?: Readonly<Record<string, string>>;
  } & (A[S] extends z.ZodType
    ? { readonly body: z.input<A[S]> }
    : A[S] extends Media
      ? { readonly body: string | Uint8Array | Readable }
      : { readonly body?: undefined });
}[keyof A & number];

export type Handler<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  A extends AnswerTable,
> = (call: Call<z.output<P>, z.output<Q>, z.output<B>, AnswerOf<A>>) => Promise<AnswerOf<A>>;

/** A WebSocket's route: who may open it is decided before the protocol is switched. */
export interface WebSocketDefinition<P extends z.ZodType, Q extends z.ZodType> {
  readonly path: string;
  readonly permission: Permission;
  /** Browsers that signed in on our page may come by their cookie, from our own pages. */
  readonly cookies?: boolean;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
}

/** A definition with its types forgotten, as lists hold them. */
export type AnyRoute = Pick<
  RouteDefinition,
  "method" | "path" | "permission" | "summary" | "form" | "mutates" | "answers"
> & {
  readonly params?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
};
