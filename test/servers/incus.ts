import { startLxdProgram, type Lxd, type LxdOptions } from "./lxd.ts";
import { fetchPackages } from "./trixie.ts";

/**
 * Debian 12 has no Incus; the next release has. These are the daemon and the libraries that it needs newer than here, 25 MB; what
 * it calls by name (tar, iptables, dnsmasq) is the machine's own.
 */
const PACKAGES = [
  ...["incus-base", "liblxc1t64", "liblxc-common", "libcowsql0", "libraft0", "libuv1t64"],
  ...["libc6", "libgcc-s1", "libacl1", "libcap2", "libseccomp2", "libsqlite3-0", "libudev1"],
  "libssl3t64",
];

/** Fetches Incus. @returns the tree that its servers are started from */
export async function fetchIncus(): Promise<string> {
  return fetchPackages("incus-tree", PACKAGES);
}

/** A real Incus with an image of busybox. @param tree what fetchIncus gave */
export async function startIncus(tree: string, options: LxdOptions = {}): Promise<Lxd> {
  const program = "/usr/libexec/incus/incusd";
  return startLxdProgram({ name: "incus", program, variable: "INCUS_DIR", over: tree }, options);
}
