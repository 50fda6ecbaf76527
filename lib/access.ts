import type { Secret } from "./secret.ts";

/** PEM files by their paths; any of them may be missing. */
export interface TlsFiles {
  /** The only authorities that are trusted; without it the system's. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** What stood in the files. */
export interface TlsTexts {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: Secret | undefined;
}

/** Files, so that a rotated certificate is seen, and what stood in them at the start. */
export interface TlsAccess {
  readonly files: TlsFiles;
  readonly texts: TlsTexts;
}

/** As whom, and whom to believe; at most one of `token` and `basic` is set. */
export interface Credentials {
  readonly token?: Secret | undefined;
  readonly basic?: { readonly user: string; readonly password: Secret } | undefined;
  readonly tls?: TlsAccess | undefined;
}

/** How to reach Prometheus. */
export interface PrometheusAccess extends Credentials {
  readonly url: string;
  /** Sent as `X-Scope-OrgID` (Mimir, Cortex). */
  readonly tenant?: string | undefined;
  /** How long one attempt may take. */
  readonly timeoutMs?: number;
}
