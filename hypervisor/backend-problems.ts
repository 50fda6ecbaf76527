import { HttpProblem } from "../lib/problem.ts";
import { BackendError, type BackendErrorKind } from "./backends/error.ts";
import type { Backend } from "./backends/types.ts";

interface Shape {
  readonly status: number;
  readonly title: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const RETRY = { "Retry-After": "2" };

/** Below 500: nothing was done. */
const SHAPES: Readonly<Record<BackendErrorKind, Shape>> = {
  invalid: { status: 400, title: "Bad request" },
  not_found: { status: 404, title: "Not found" },
  conflict: { status: 409, title: "Conflict" },
  busy: { status: 409, title: "Busy", headers: RETRY },
  changed: { status: 412, title: "Precondition failed" },
  unsupported: { status: 501, title: "Not supported by this backend" },
  unavailable: { status: 503, title: "Backend unavailable", headers: RETRY },
  timeout: { status: 504, title: "Backend timeout" },
};

/** The same backend, whose refusals are answers of the API. */
export function answeringProblems(backend: Backend): Backend {
  const { name, close, ...groups } = backend;
  const answering = Object.entries(groups).map(([group, verbs]) => [
    group,
    Object.fromEntries(
      Object.entries(verbs as unknown as Record<string, AnyVerb>).map(([verb, work]) => [
        verb,
        told(work),
      ]),
    ),
  ]);
  return { ...(Object.fromEntries(answering) as typeof groups), name, close };
}

type AnyVerb = (...given: readonly unknown[]) => Promise<unknown>;

function told(work: AnyVerb): AnyVerb {
  return async (...given) => {
    try {
      return await work(...given);
    } catch (error) {
      throw error instanceof BackendError ? problemOf(error) : error;
    }
  };
}

function problemOf(error: BackendError): HttpProblem {
  const { status, title, headers } = SHAPES[error.kind];
  return new HttpProblem(status, title, `${error.message}.`, headers);
}
