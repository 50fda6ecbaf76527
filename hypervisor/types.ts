/** What a caller may do, `noun:verb`. Roles will be rows of these. */
export type Permission = "audit:read";

/** Who is asking, once that is known. */
interface Principal {
  readonly name: string;
  readonly permissions: ReadonlySet<Permission>;
}

/** Finds out who holds a bearer token; undefined for nobody. */
export interface Authenticator {
  identify(bearerToken: string): Promise<Principal | undefined>;
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
  readonly result: "Success" | "Failure" | "Refused";
  readonly ip_address: string | null;
  readonly correlation_id: string | null;
  /** JSON text, exactly as recorded. */
  readonly details: string;
}

export interface AuditQuery {
  readonly user?: string | undefined;
  readonly resource_type?: string | undefined;
  readonly limit: number;
}

export interface AuditPage {
  /** Entries that match, of which `logs` holds the newest. */
  readonly total: number;
  readonly logs: readonly AuditEntry[];
}

export interface AuditLog {
  find(query: AuditQuery): Promise<AuditPage>;
}
