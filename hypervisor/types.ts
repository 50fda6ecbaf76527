/** Who is asking, once that is known. */
export interface Principal {
  /** The user's name; for a token its owner's. */
  readonly name: string;
  readonly via: "session" | "oidc" | "api-token" | "static-token" | "nobody";
  readonly role: string;
  /** Patterns: `container:read`, `container:*`, `*`. */
  readonly permissions: readonly string[];
  /** Why the permissions are withheld for now, for people. */
  readonly withheld?: string | undefined;
  /** Undefined: the whole platform. */
  readonly organization: string | undefined;
  /** The backend's projects whose containers are visible: those of the organization's VDCs. */
  readonly projects: "all" | ReadonlySet<string>;
  /** The login it came from; undefined for tokens. Ends with /auth/logout. */
  readonly session?: string | undefined;
  /** The account at the identity provider, its `sub`. */
  readonly subject?: string | undefined;
  /** When they proved to the identity provider who they are, if it says so (`auth_time`). */
  readonly signedInAt?: Date | undefined;
  /** When the identity provider's token ends, and with it what it has opened. */
  readonly expiresAt?: Date | undefined;
  /** The API token's id. */
  readonly token?: string | undefined;
}

export type Identification =
  | { readonly known: true; readonly principal: Principal }
  /** For the log and the challenge; tells nothing that the holder of the token does not know. */
  | { readonly known: false; readonly reason: string };

/** Finds out who holds a bearer token, or a cookie. @throws when the database does not answer */
export interface Authenticator {
  identify(bearerToken: string): Promise<Identification>;
  /** Finds out whose browser it is. @param cookie the value of the session's cookie */
  identifyCookie(cookie: string): Promise<Identification>;
}

/** One entry of the audit log, in the shape of the API. */
export interface AuditEntry {
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly timestamp: string;
  readonly user: string;
  readonly action: string;
  readonly resource_type: string;
  readonly resource_id: string;
  readonly result: "Success" | "Failure" | "Refused" | "Started";
  readonly ip_address: string | null;
  readonly correlation_id: string | null;
  /** A sentence, or the row's JSON text exactly as recorded. */
  readonly details: string;
}

export interface AuditQuery {
  readonly user?: string | undefined;
  readonly resource_type?: string | undefined;
  readonly limit: number;
  /** Only rows before this id. */
  readonly before?: string | undefined;
  /** Only rows of this organization. */
  readonly organization?: string | undefined;
}

export interface AuditPage {
  /** Entries that match, of which `logs` holds the newest. */
  readonly total: number;
  /** There are more than `total`: counting ends there. */
  readonly total_is_capped: boolean;
  readonly logs: readonly AuditEntry[];
  /** For `before`, to read on; null at the end. */
  readonly next: string | null;
}

export interface AuditLog {
  find(query: AuditQuery): Promise<AuditPage>;
}

/** Something that happened, for people: an event of the API (contract of GET /api/v1/events). */
export interface PlatformEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  /** Of the object: `Organization`, `VDC`, `VM`. */
  readonly kind: string;
  readonly name: string;
  /** The organization whose people see it; empty for the platform's own. */
  readonly namespace: string;
  /** Who did it. */
  readonly username?: string | undefined;
}

/** Where events go. Never throws and never waits long: what cannot be recorded is counted. */
export interface EventSink {
  record(event: PlatformEvent): Promise<void>;
}
