/**
 * Why a query gave no samples: the server could not be asked or did not answer (`unavailable`), it refused the
 * expression (`bad_query`), its answer cannot be read (`bad_answer`), or is too large to be held (`too_large`).
 */
export type QueryFault = "unavailable" | "bad_query" | "bad_answer" | "too_large";

export class QueryError extends Error {
  override readonly name = "QueryError";
  readonly kind: QueryFault;
  /** Whether the same question may be answered in a moment. */
  readonly retryable: boolean;

  constructor(
    kind: QueryFault,
    message: string,
    options: ErrorOptions & { readonly retryable?: boolean } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.retryable = options.retryable ?? false;
  }
}

/** Why an alert was not taken: `refused` is final (the receiver will never take this body), `unavailable` is not. */
export class PostError extends Error {
  override readonly name = "PostError";
  readonly kind: "unavailable" | "refused";
  /** How long the receiver wants to be left alone; 0 when it did not say. */
  readonly retryAfterMs: number;

  constructor(
    kind: "unavailable" | "refused",
    message: string,
    options: ErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.kind = kind;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }
}
