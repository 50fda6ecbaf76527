/** One thing that was looked at. */
export interface DoctorResult {
  readonly area: string;
  readonly what: string;
  /** `warning`: it works, and somebody should look; `skipped`: it is not configured, or cannot be asked. */
  readonly result: "ok" | "warning" | "failed" | "skipped";
  readonly detail: string;
}

/** Looks at one area. What it throws is a failure with its message. */
export interface DoctorCheck {
  readonly area: string;
  readonly what: string;
  readonly look: (signal: AbortSignal) => Promise<readonly Look[]>;
}

export type Look = Omit<DoctorResult, "area">;

export const ok = (what: string, detail = ""): Look => ({ what, result: "ok", detail });
export const warning = (what: string, detail: string): Look => ({
  what,
  result: "warning",
  detail,
});
export const failed = (what: string, detail: string): Look => ({ what, result: "failed", detail });
export const skipped = (what: string, detail: string): Look => ({
  what,
  result: "skipped",
  detail,
});

/** A right in the cluster: may we do this? Empty texts are Kubernetes' own: the core group, the resource itself. */
export interface Right {
  readonly namespace: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly verb: string;
}

/** What the doctor asks of the world; adapters answer. */
export interface DoctorPorts {
  /** Whether the cluster would let us. */
  readonly mayDo: (right: Right) => Promise<boolean>;
  /** Counts of a breaker in Redis; undefined when it does not answer or cannot be written to. */
  readonly redisAnswers: (url: string) => Promise<boolean>;
  /** Who the bot is, and its rights; undefined rights: Slack does not tell. */
  readonly slackBot: (
    signal: AbortSignal,
  ) => Promise<{ readonly who: string; readonly scopes: readonly string[] | undefined }>;
  /** Alertmanager's own configuration, as YAML; secrets are masked in it. */
  readonly alertmanagerConfig: () => Promise<string>;
  /** Prometheus answers an instant query. */
  readonly askPrometheus: () => Promise<void>;
}
