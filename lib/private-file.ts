interface Rights {
  readonly mode: number;
  readonly uid: number;
}

/**
 * That nobody else may read a file with a key. A mounted Secret of Kubernetes belongs to root, and a group that the pod's user
 * is in may read it: that is as private as it gets there.
 *
 * @param ownUid of this process
 * @throws Error that says what to do
 */
export function requirePrivate(
  path: string,
  { mode, uid }: Rights,
  ownUid = process.getuid?.(),
): void {
  const isMounted = uid === 0 && ownUid !== 0;
  if ((mode & (isMounted ? 0o037 : 0o077)) === 0) return;
  const shown = (mode & 0o777).toString(8).padStart(4, "0");
  throw new Error(`key file ${path} has mode ${shown}: others may read it; run chmod 600`);
}
