import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Kubeconfig {
  readonly path: string;
  readonly remove: () => Promise<void>;
}

/** A kubeconfig file for the stand-in. */
export async function writeKubeconfig({
  url,
  token,
}: {
  readonly url: string;
  readonly token: string;
}): Promise<Kubeconfig> {
  const folder = await mkdtemp(join(tmpdir(), "fettle-kubeconfig-"));
  const path = join(folder, "config.json");
  // Without "insecure" the client refuses plain http.
  const cluster = { server: url, "insecure-skip-tls-verify": true };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
  };
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return { path, remove: async () => rm(folder, { recursive: true, force: true }) };
}
