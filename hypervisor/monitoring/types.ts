type Labels = Readonly<Record<string, string>>;

export interface QueryAnswer {
  readonly resultType: "vector" | "matrix" | "scalar" | "string";
  /** Samples are a moment in seconds and the number as Prometheus writes it (`NaN` and `+Inf` are numbers there). */
  readonly result: readonly unknown[];
  readonly warnings: readonly string[];
}

interface InstantQuery {
  readonly query: string;
  /** RFC 3339 or seconds since 1970; now without it. */
  readonly time?: string | undefined;
}

interface RangeQuery {
  readonly query: string;
  readonly start: string;
  readonly end: string;
  readonly step: string;
}

export interface MetricInfo {
  readonly name: string;
  readonly type: string;
  readonly help: string;
}

interface Series {
  readonly labels: Labels;
  readonly timestamp: number;
  readonly value: string;
}

export interface Alert {
  readonly name: string;
  readonly state: "pending" | "firing";
  readonly severity: string | null;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** RFC 3339. */
  readonly active_at: string;
  readonly value: string;
}

/** Where metrics are kept. @throws HttpProblem 400 (with what it says), 502, 503, 504 */
export interface MetricStore {
  query(asked: InstantQuery | RangeQuery): Promise<QueryAnswer>;
  /** By name. */
  list(): Promise<readonly MetricInfo[]>;
  /** The series of one metric, as they are now. */
  series(name: string): Promise<readonly Series[]>;
  alerts(): Promise<readonly Alert[]>;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly tags: readonly string[];
  /** Where this API shows it. */
  readonly url: string;
}

export interface DashboardList {
  list(): Promise<readonly Dashboard[]>;
}
