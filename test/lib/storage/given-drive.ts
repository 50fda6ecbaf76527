import { readFile } from "node:fs/promises";
import { openStore } from "../../../lib/adapters/storage/open.ts";
import { systemClock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/secret.ts";
import type { BlobStore, StoreOptions } from "../../../lib/storage.ts";
import { makeCertificates } from "../../detector/given-certificates.ts";
import type { FakeDrive } from "../../fakes/cloud-server.ts";
import { startDropbox } from "../../fakes/dropbox.ts";
import { startGoogleDrive } from "../../fakes/google-drive.ts";
import { startGraph, type FakeGraph } from "../../fakes/graph.ts";
import { startTcpProxy, type TcpProxy } from "../../fakes/tcp-proxy.ts";
import type { GivenStore } from "./given-kinds.ts";

/** A store, and what stands in for its service. */
export interface GivenDrive extends GivenStore {
  readonly drive: FakeDrive;
  readonly proxy: TcpProxy;
}

async function behindProxy<D extends FakeDrive>(
  drive: D,
): Promise<{ drive: D; proxy: TcpProxy; endpoint: string; stop: () => Promise<void> }> {
  const proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(drive.url).port) });
  const stop = async () => {
    await proxy.stop();
    await drive.stop();
  };
  return { drive, proxy, endpoint: `http://127.0.0.1:${proxy.port}`, stop };
}

function given(
  { drive, proxy, stop }: Awaited<ReturnType<typeof behindProxy>>,
  more: Pick<GivenStore, "store" | "verifies" | "stranger" | "homeless" | "credential">,
): GivenDrive {
  const { setFault, openUploads: leftovers } = drive;
  return { keepsMetadata: false, links: false, ...more, leftovers, drive, proxy, setFault, stop };
}

export async function givenGoogleDrive(): Promise<GivenDrive> {
  const behind = await behindProxy(await startGoogleDrive());
  const { drive, endpoint } = behind;
  const options = {
    kind: "gdrive",
    folderId: drive.folderId,
    credentials: { kind: "json", text: new Secret(drive.serviceAccount) },
    subject: undefined,
    endpoint,
    clock: systemClock,
  } as const satisfies StoreOptions;
  const { clientId, clientSecret } = drive.person;
  const stranger = {
    kind: "refresh",
    clientId,
    clientSecret: new Secret(clientSecret),
    refreshToken: new Secret("1//of-somebody-else"),
  } as const;
  const { private_key } = JSON.parse(drive.serviceAccount) as { private_key: string };
  return {
    ...given(behind, {
      store: openStore(options),
      verifies: "sha256",
      stranger: openStore({ ...options, credentials: stranger }),
      homeless: openStore({ ...options, folderId: "nobody-has-it" }),
      credential: private_key,
    }),
    keepsMetadata: true,
  };
}

export async function givenDropbox(): Promise<GivenDrive> {
  const behind = await behindProxy(await startDropbox());
  const { drive, endpoint } = behind;
  const { appKey, appSecret, refreshToken } = drive;
  const credentials = {
    kind: "refresh",
    appKey,
    appSecret: new Secret(appSecret),
    refreshToken: new Secret(refreshToken),
  } as const;
  const options = { kind: "dropbox", folder: "/Revizija č", endpoint, clock: systemClock } as const;
  const wrong = { ...credentials, refreshToken: new Secret("of-somebody-else") };
  return given(behind, {
    store: openStore({ ...options, credentials }),
    verifies: "content-hash",
    stranger: openStore({ ...options, credentials: wrong }),
    credential: refreshToken,
  });
}

/** Of a folder of the first drive. */
function graphOptions(drive: FakeGraph, graphUrl: string, standInCa: string) {
  const { tenantId, clientId, clientSecret, authorityHost } = drive;
  return {
    kind: "onedrive",
    label: "audit@example.com",
    drive: drive.drives[0] ?? "",
    folder: "Audit trail/2026",
    tenantId,
    clientId,
    clientSecret: new Secret(clientSecret),
    graphUrl,
    authorityHost,
    standInCa,
    clock: systemClock,
  } as const satisfies StoreOptions;
}

export async function givenGraph(): Promise<GivenDrive> {
  const certificates = await makeCertificates();
  const { server } = certificates;
  const [key, cert, ca] = await Promise.all(
    [server.key, server.cert, certificates.authority].map(async (path) => readFile(path, "utf8")),
  );
  await certificates.remove();
  const behind = await behindProxy(await startGraph({ key: key ?? "", cert: cert ?? "" }));
  const options = graphOptions(behind.drive, behind.endpoint, ca ?? "");
  const other = (more: Partial<typeof options>): BlobStore => openStore({ ...options, ...more });
  return given(behind, {
    store: openStore(options),
    verifies: "quickxor",
    stranger: other({ clientSecret: new Secret("of-somebody-else") }),
    homeless: openStore({ ...options, drive: "/users/nobody@example.com/drive" }),
    credential: behind.drive.clientSecret,
  });
}
