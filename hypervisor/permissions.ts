/** Every permission there is, `noun:verb`. A route, a role or a token can only name one of these. */
const PERMISSIONS = {
  container: ["create", "read", "update", "delete", "start", "stop", "snapshot", "export", "exec"],
  template: ["read", "write"],
  cluster: ["read", "write", "join", "leave"],
  storage: ["read", "write", "delete"],
  network: ["read", "write", "delete"],
  system: ["read", "update", "write", "admin"],
  logs: ["read"],
  metrics: ["read"],
  dashboards: ["read"],
  events: ["read"],
  workflow: ["create", "read", "update", "delete", "execute"],
  task: ["create", "read", "update", "delete", "execute"],
  agent: ["create", "read", "update", "delete", "execute"],
  monitoring: ["read", "update"],
  progress: ["read", "update"],
  audit: ["read", "recordings"],
  user: ["create", "read", "update", "delete"],
  role: ["read", "write"],
  organization: ["create", "read", "update", "delete"],
  vdc: ["create", "read", "update", "delete"],
} as const;

type Noun = keyof typeof PERMISSIONS;
export type Permission = {
  [N in Noun]: `${N}:${(typeof PERMISSIONS)[N][number]}`;
}[Noun];
/** What a role or a token is given: one permission, all of a noun, or everything. */
export type PermissionPattern = Permission | `${Noun}:*` | "*";

export interface RoleDefinition {
  readonly about: string;
  readonly permissions: readonly PermissionPattern[];
  /** Its holders must belong to an organization. */
  readonly confined?: true;
}

const READ_PLATFORM = [
  "container:read",
  "template:read",
  "cluster:read",
  "storage:read",
  "network:read",
  "system:read",
  "logs:read",
  "metrics:read",
  "dashboards:read",
  "events:read",
  "workflow:read",
  "task:read",
  "agent:read",
  "monitoring:read",
  "progress:read",
  "organization:read",
  "vdc:read",
] as const satisfies readonly Permission[];

/** The roles that are always there; `Custom` gets its permissions per user. */
export const ROLES: Readonly<Record<string, RoleDefinition>> = {
  Admin: { about: "everything", permissions: ["*"] },
  Operator: {
    about: "starts, stops and snapshots containers; reads the rest; creates and deletes nothing",
    permissions: [...READ_PLATFORM, "container:start", "container:stop", "container:snapshot"],
  },
  Viewer: {
    about: "reads the platform, but neither people nor the record",
    permissions: READ_PLATFORM,
  },
  Custom: { about: "what is said at the user", permissions: [] },
  developer: {
    about: "logs, metrics and containers, to read",
    permissions: ["logs:read", "metrics:read", "container:read", "progress:read"],
  },
  OrgAdmin: {
    about: "everything within one organization but its quotas",
    confined: true,
    permissions: [
      "container:*",
      "template:read",
      "user:*",
      "role:read",
      "organization:read",
      "vdc:read",
      "events:read",
      "audit:read",
      "progress:*",
    ],
  },
  OrgUser: {
    about: "uses one organization's containers",
    confined: true,
    permissions: [
      "container:read",
      "container:start",
      "container:stop",
      "container:snapshot",
      "template:read",
      "organization:read",
      "vdc:read",
      "events:read",
      "progress:read",
    ],
  },
  user: {
    about: "runs workflows and sees their progress",
    permissions: [
      "container:read",
      "workflow:read",
      "workflow:execute",
      "task:read",
      "progress:read",
    ],
  },
  agent: {
    about: "a program that does tasks and tells their progress",
    permissions: [
      "agent:*",
      "task:read",
      "task:update",
      "task:execute",
      "workflow:read",
      "progress:*",
    ],
  },
  system: {
    about: "the platform's own programs",
    permissions: [
      "system:read",
      "system:update",
      "monitoring:*",
      "workflow:*",
      "task:*",
      "agent:read",
      "metrics:read",
      "events:read",
      "progress:*",
    ],
  },
  guest: {
    about: "reads containers, dashboards and progress",
    permissions: [
      "container:read",
      "dashboards:read",
      "workflow:read",
      "task:read",
      "agent:read",
      "progress:read",
    ],
  },
};

/** Nouns whose every object belongs to an organization, or to all. */
const SCOPED: ReadonlySet<string> = new Set<Noun>([
  "container",
  "template",
  "events",
  "progress",
  "audit",
  "user",
  "role",
  "organization",
  "vdc",
]);

/** What an organization's own people would use to set their own limits, or what takes room at the platform's places. */
const NEVER_CONFINED: ReadonlySet<string> = new Set<Permission>([
  "organization:create",
  "organization:update",
  "organization:delete",
  "vdc:create",
  "vdc:update",
  "vdc:delete",
  "role:write",
  "template:write",
  "container:export",
]);

const ALL: ReadonlySet<string> = new Set(
  Object.entries(PERMISSIONS).flatMap(([noun, verbs]) => verbs.map((verb) => `${noun}:${verb}`)),
);

export function isPattern(text: string): text is PermissionPattern {
  if (text === "*" || ALL.has(text)) return true;
  return text.endsWith(":*") && Object.hasOwn(PERMISSIONS, text.slice(0, -2));
}

/** Each permission that the patterns stand for, sorted. */
export function expand(patterns: readonly string[]): readonly Permission[] {
  return [...ALL].filter((each) => covers(patterns, each)).sort() as Permission[];
}

export function covers(patterns: readonly string[], permission: string): boolean {
  const [noun = ""] = permission.split(":");
  return patterns.some((each) => each === "*" || each === permission || each === `${noun}:*`);
}

interface Holder {
  readonly name: string;
  readonly role: string;
  readonly permissions: readonly string[];
  readonly organization: string | undefined;
  /** Says why there are no permissions at all, for people. */
  readonly withheld?: string | undefined;
}

export interface Verdict {
  readonly allowed: boolean;
  readonly reason: string;
}

/** May this caller do it, and why (not): the one place where that is decided. */
export function explain(holder: Holder, permission: Permission): Verdict {
  const { name, role, organization, withheld } = holder;
  const [noun = ""] = permission.split(":");
  if (withheld !== undefined) return { allowed: false, reason: withheld };
  if (!covers(holder.permissions, permission))
    return { allowed: false, reason: `${name} (${role}) does not have ${permission}` };
  if (organization !== undefined && (!SCOPED.has(noun) || NEVER_CONFINED.has(permission))) {
    const reason = `${permission} is about the whole platform, and ${name} belongs to ${organization}`;
    return { allowed: false, reason };
  }
  return { allowed: true, reason: `${name} (${role}) has ${permission}` };
}
