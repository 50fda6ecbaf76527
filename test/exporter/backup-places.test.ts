import { cp, mkdir, readdir, readFile, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { folderDestination } from "../../exporter/adapters/folder.ts";
import { readManifest, type BackupManifest, type Trust } from "../../exporter/backup-manifest.ts";
import { listBackups } from "../../exporter/backup-keep.ts";
import { withFetchedBackup } from "../../exporter/fetch-backup.ts";
import { restoreBackup } from "../../exporter/restore-backup.ts";
import type { Destination } from "../../exporter/types.ts";
import { signNote } from "../../lib/signed-note.ts";
import { messageOf } from "../../lib/error.ts";
import { givenSigner, takerOf } from "./given-backups.ts";
import { tempFolder } from "./given.ts";

const { signer, verifier } = givenSigner();
const stranger = givenSigner();

let folder: Awaited<ReturnType<typeof tempFolder>>;
let here: string;
let place: Destination;

beforeEach(async () => {
  folder = await tempFolder();
  here = join(folder.path, "here");
  place = folderDestination(here);
});
afterEach(async () => folder.remove());

test("a place that fails gets no manifest and keeps no part, and the others get the whole backup", async () => {
  const broken: Destination = {
    ...folderDestination(join(folder.path, "there")),
    name: "broken",
    upload: async (parcel) => {
      if (parcel.name.includes("0002")) throw new Error("broken: the disk is full");
      return folderDestination(join(folder.path, "there")).upload(parcel);
    },
  };
  const take = await takerOf(join(folder.path, "work"), { destinations: [broken, place] });

  const { at, notAt, parts } = await take("2026-01-01");

  expect({ at, notAt }).toEqual({ at: ["folder"], notAt: ["broken: the disk is full"] });
  expect(await readdir(join(folder.path, "there"))).toEqual([]);
  expect((await readdir(here)).sort()).toEqual([
    ...parts.map(({ name }) => name),
    "backup-20260101T000000Z.manifest.json",
  ]);
  expect(await readdir(join(folder.path, "work"))).toEqual([]);
});

test("a place whose manifest got its name before the upload failed keeps neither the manifest nor a part", async () => {
  const there = folderDestination(join(folder.path, "there"));
  const broken: Destination = {
    ...there,
    name: "broken",
    upload: async (parcel) => {
      const receipt = await there.upload(parcel);
      if (parcel.name.includes("manifest")) throw new Error("broken: the connection ended");
      return receipt;
    },
  };
  const take = await takerOf(join(folder.path, "work"), { destinations: [broken, place] });

  const { at } = await take("2026-01-01");

  expect(at).toEqual(["folder"]);
  expect(await readdir(join(folder.path, "there"))).toEqual([]);
  expect(await readdir(join(folder.path, "work"))).toEqual([]);
});

test("a part that got its name before the upload failed is taken away too, and somebody else's of that name is not", async () => {
  const there = folderDestination(join(folder.path, "there"));
  const foreign = join(folder.path, "there", "backup-20260101T000000Z.dump.0001");
  const broken = (isForeign: boolean): Destination => ({
    ...there,
    name: "broken",
    upload: async (parcel) => {
      await there.upload(parcel);
      if (isForeign) {
        await rm(foreign); // a second name of the file that is handed over
        await writeFile(foreign, "of another database");
      }
      throw new Error("broken: the connection ended");
    },
  });
  for (const [isForeign, left] of [
    [false, []],
    [true, ["backup-20260101T000000Z.dump.0001"]],
  ] as const) {
    const work = join(folder.path, "work");
    const take = await takerOf(work, { destinations: [broken(isForeign), place] });

    const { at } = await take("2026-01-01");

    expect(at).toEqual(["folder"]);
    expect(await readdir(join(folder.path, "there"))).toEqual(left);
    expect(await readdir(work)).toEqual([]);
    await rm(here, { recursive: true });
  }
});

test("a manifest that cannot be taken away again keeps its parts: what is listed can be restored", async () => {
  const there = folderDestination(join(folder.path, "there"));
  const broken: Destination = {
    ...there,
    name: "broken",
    upload: async (parcel) => {
      const receipt = await there.upload(parcel);
      if (parcel.name.includes("manifest")) throw new Error("broken: the connection ended");
      return receipt;
    },
    remove: async (name) =>
      name.includes("manifest") ? Promise.reject(new Error("broken: locked")) : there.remove(name),
  };
  const take = await takerOf(join(folder.path, "work"), { destinations: [broken, place] });

  await take("2026-01-01");

  expect((await readdir(join(folder.path, "there"))).sort()).toEqual((await readdir(here)).sort());
});

test("when no place is left, the backup fails with the last one's words", async () => {
  const full = { ...place, upload: async () => Promise.reject(new Error("nothing fits in here")) };
  const take = await takerOf(join(folder.path, "work"), { destinations: [full] });

  await expect(take("2026-01-01")).rejects.toThrow("nothing fits in here");

  expect(await readdir(join(folder.path, "work"))).toEqual([]);
});

test("a name that is taken is left alone: what is there may be another database's backup", async () => {
  const take = await takerOf(join(folder.path, "work"), { destinations: [place] });
  await take("2026-01-01");
  const before = (await readdir(here)).sort();

  await expect(take("2026-01-01")).rejects.toThrow("exists already with other content");

  expect((await readdir(here)).sort()).toEqual(before);
});

test("keeping counts finished backups that are signed by us, before and after a rotation, and nobody else's", async () => {
  const old = givenSigner("backups");
  const take = await takerOf(join(folder.path, "work"), { destinations: [place] });
  await take("2026-01-01", { signer: old.signer });
  await take("2026-01-02", { signer });
  await take("2026-01-03", { signer: stranger.signer });
  await take("2026-01-04"); // by nobody
  await take("2099-01-01", { signer: stranger.signer });
  const trust = [verifier, old.verifier];

  const { removed } = await take("2026-01-05", { signer, trust, keep: 2 });

  expect(removed).toEqual(["folder: backup-20260101T000000Z"]);
  expect(await listBackups(place)).toEqual([
    "backup-20990101T000000Z",
    "backup-20260105T000000Z",
    "backup-20260104T000000Z",
    "backup-20260103T000000Z",
    "backup-20260102T000000Z",
  ]);
  expect((await readdir(here)).filter((name) => name.includes("20260101"))).toEqual([]);
});

test("where nobody signs, a planted manifest has no file taken away that is not a part of its own backup", async () => {
  const take = await takerOf(join(folder.path, "work"), { destinations: [place] });
  const { id, database, parts } = await take("2026-01-02");
  const planted = {
    ...readManifest(
      {
        name: `${NAME}.manifest.json`,
        text: await readFile(join(here, `${NAME}.manifest.json`), "utf8"),
      },
      "anybody",
    ),
    id,
    database,
    name: "backup-20260101T000000Z",
    parts: [{ ...parts[0], name: "audit-20260101.csv.gpg" }],
  };
  await writeFile(join(here, "backup-20260101T000000Z.manifest.json"), textOf(planted));
  await writeFile(join(here, "audit-20260101.csv.gpg"), "an export");

  const { removed } = await take("2026-01-03", { keep: 1 });

  expect(removed).toEqual([`folder: ${NAME}`]);
  expect(await readdir(here)).toContain("audit-20260101.csv.gpg");
});

interface Damage {
  readonly what: string;
  readonly says: RegExp;
  readonly trust?: Trust;
  readonly damage: (manifest: BackupManifest, note: string) => Promise<unknown>;
}

const NAME = "backup-20260102T000000Z";
const noteOf = (name: string) => join(here, `${name}.manifest.note`);
const textOf = (manifest: object) => `${JSON.stringify(manifest, null, 1)}\n`;

const DAMAGES: readonly Damage[] = [
  {
    what: "a manifest that was changed",
    says: /the signature of backups does not fit/,
    damage: async (_, note) =>
      writeFile(noteOf(NAME), note.replace('"dumpBytes": 2', '"dumpBytes": 3')),
  },
  {
    what: "a manifest that was cut off",
    says: /not a signed note/,
    damage: async (_, note) => truncate(noteOf(NAME), note.length - 40),
  },
  {
    what: "a manifest by another key of the same name",
    says: /no signature of the given keys/,
    damage: async (manifest) =>
      writeFile(noteOf(NAME), signNote(textOf(manifest), "backups", stranger.signer.privateKey)),
  },
  {
    what: "a manifest whose signature was taken away",
    says: /not a signed note/,
    damage: async (manifest) => {
      await unlink(noteOf(NAME));
      await writeFile(join(here, `${NAME}.manifest.json`), textOf(manifest));
    },
  },
  {
    what: "an older backup under this one's name",
    says: /it is the manifest of backup-20260101T000000Z/,
    damage: async () => cp(noteOf("backup-20260101T000000Z"), noteOf(NAME)),
  },
  {
    what: "something else that the same key signed",
    says: /Invalid input/,
    damage: async () =>
      writeFile(
        noteOf(NAME),
        signNote('{"format": "fettle-audit-manifest/1"}\n', "backups", signer.privateKey),
      ),
  },
  {
    what: "a part that was cut off",
    says: /dump\.0002: is not what was written \(7 of 1000 bytes\)/,
    damage: async () => truncate(join(here, `${NAME}.dump.0002`), 7),
  },
  {
    what: "a part of another backup",
    says: /dump\.0002: is not what was written/,
    damage: async () =>
      cp(join(here, "backup-20260101T000000Z.dump.0002"), join(here, `${NAME}.dump.0002`)),
  },
  {
    what: "a part that is not there",
    says: /could not read .*dump\.0003/,
    damage: async () => unlink(join(here, `${NAME}.dump.0003`)),
  },
  {
    what: "a manifest that is not there",
    says: /no finished backup backup-20260102T000000Z \(it has no manifest\)/,
    damage: async () => unlink(noteOf(NAME)),
  },
  { what: "no damage", says: /^restored$/, damage: async () => Promise.resolve() },
  {
    what: "no damage, and the key was rotated since",
    says: /^restored$/,
    trust: [stranger.verifier, verifier],
    damage: async () => Promise.resolve(),
  },
];

test.each(DAMAGES)("restoring from a place with $what: $says", async ({ says, damage, trust }) => {
  const work = join(folder.path, "work");
  const take = await takerOf(work, { destinations: [place], signer });
  await take("2026-01-01");
  const { name } = await take("2026-01-02");
  expect(name).toBe(NAME);
  const note = await readFile(noteOf(NAME), "utf8");
  await damage(readManifest({ name: `${NAME}.manifest.note`, text: note }, [verifier]), note);
  let begun = 0;

  const said = await withFetchedBackup(
    place,
    NAME,
    { trust: trust ?? [verifier], workFolder: work },
    async (found) =>
      restoreBackup(found, {
        openPlaintext: async () => Promise.resolve(undefined),
        countRelations: async () => Promise.resolve(++begun - 1),
        restore: () => {
          throw new Error("restored");
        },
      }),
  ).catch(messageOf);

  expect(said).toMatch(says);
  expect(begun).toBe(said === "restored" ? 1 : 0);
  expect(await readdir(work)).toEqual([]);
});

test("the newest finished backup is found, whatever else lies there", async () => {
  const work = join(folder.path, "work");
  const take = await takerOf(work, { destinations: [place], signer });
  await take("2026-01-01");
  await take("2026-01-02");
  await mkdir(join(here, "backup-20990101T000000Z"));
  await writeFile(join(here, "backup-20990101T000000Z.dump.0001"), "never finished");
  await writeFile(join(here, "backup-today.manifest.note"), "named by a person");

  const newest = await withFetchedBackup(
    place,
    "latest",
    { trust: [verifier], workFolder: work },
    async ({ manifest }) => Promise.resolve(manifest.name),
  );

  expect(newest).toBe("backup-20260102T000000Z");
  await rm(here, { recursive: true });
  await expect(
    withFetchedBackup(place, "latest", { trust: "anybody", workFolder: work }, async () =>
      Promise.resolve(),
    ),
  ).rejects.toThrow("folder: has no finished backup");
});
