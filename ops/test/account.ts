/** What `spawn` needs to start a server as somebody else. Empty: as ourselves. */
export interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** `nobody` and `nogroup` on Debian; the numbers are the same on every Linux. */
const NOBODY = 65_534;

/** The user that the servers run as: never root, because PostgreSQL refuses it and the others should not need it. */
export function unprivilegedAccount(): Account {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
}
