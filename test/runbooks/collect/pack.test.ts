import { expect, test } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { cutText, fileName, type CollectedFile } from "../../../runbooks/collect/files.ts";
import { HELD_BYTES_MAX, pack, packExcerpt } from "../../../runbooks/collect/pack.ts";
import { tar } from "../../../runbooks/collect/tar.ts";
import { unpack } from "../../collector/given-collector.ts";

const AT = new Date("2026-11-21T03:00:00Z");

function file(name: string, content: string, tail = false): CollectedFile {
  return { name, step: "logs", content: Buffer.from(content), cut: false, tail };
}

function gathered(files: readonly CollectedFile[]) {
  return { run: "run_1", runbook: "slow", target: "t", at: AT, steps: [], files };
}

test("the same files make the same bytes, and another file others", async () => {
  const files = [file("a.txt", "one"), file("logs/x/b.txt", "two")];

  const [first, again, other] = await Promise.all([
    pack(gathered(files)),
    pack(gathered(files)),
    pack(gathered([...files, file("c", "")])),
  ]);

  expect(first.sha256).toBe(again.sha256);
  expect(first.sha256).not.toBe(other.sha256);
});

test.each([0, 1, 511, 512, 513, 10_000])(
  "a file of %i bytes comes out as it went in",
  async (bytes) => {
    const content = "x".repeat(bytes);
    const { bytes: bundle } = await pack(gathered([file("a", content), file("b", "end")]));

    const files = await unpack(bundle);

    expect([files.get("a"), files.get("b")]).toEqual([content, "end"]);
  },
);

test("an archive is blocks of 512 bytes, with the time and mode that it was told", () => {
  const archive = Buffer.concat([...tar([file("a.txt", "one")], AT)]);

  expect(archive.length).toBe(4 * 512);
  expect(archive.subarray(257, 263).toString()).toBe("ustar\0");
  expect(Number.parseInt(archive.subarray(136, 147).toString(), 8) * 1000).toBe(AT.getTime());
  expect(archive.subarray(100, 107).toString()).toBe("0000600");
});

test("a name that is too long is an error, not another name", () => {
  expect(() => [...tar([file("x".repeat(101), "")], AT)]).toThrow("too long");
});

test("an excerpt fits, keeps the ends of logs, and says what was cut", async () => {
  const noise = randomBytes(400_000).toString("hex");
  const files = [file("logs/a.log", `${noise}\nthe end`, true), file("note.txt", "short")];

  const { bytes, index } = await packExcerpt(gathered(files));

  expect(bytes.length).toBeLessThanOrEqual(HELD_BYTES_MAX);
  expect(index.cut).toBe(true);
  expect(index.files.map(({ name, cut }) => [name, cut])).toEqual([
    ["logs/a.log", true],
    ["note.txt", false],
  ]);
  expect(gunzipSync(bytes).toString()).toContain("the end");
});

test("hundreds of files that do not fit are left out, and the index stays", async () => {
  const files = Array.from({ length: 600 }, (_, at) =>
    file(`logs/${at}.log`, randomBytes(1_000).toString("hex")),
  );

  const { bytes, index } = await packExcerpt(gathered(files));

  expect(bytes.length).toBeLessThanOrEqual(HELD_BYTES_MAX);
  expect(index.cut).toBe(true);
});

test.each([
  [["logs", "web-7c9", "app"], "logs/web-7c9/app"],
  [["logs", "../../etc", "passwd"], "logs/__.._etc/passwd"],
  [["a/b", "..", "c d"], "a_b/_/c_d"],
  [["x".repeat(50)], `${"x".repeat(15)}~${"x".repeat(24)}`],
])("names of the cluster lead nowhere else: %j", (parts, expected) => {
  expect(fileName(...parts)).toBe(expected);
});

test("text is cut at the end that matters less", () => {
  const text = Buffer.from("0123456789".repeat(10));

  expect(cutText(text, { bytesMax: 100, tail: true })).toBe(text);
  expect(cutText(text, { bytesMax: 40, tail: true }).toString()).toBe(
    "[cut: 100 bytes in all]\n4567890123456789",
  );
  expect(cutText(text, { bytesMax: 40, tail: false }).toString()).toBe(
    "0123456789012345\n[cut: 100 bytes in all]",
  );
});

test("a name that an archive cannot hold is a failure, and not the end of the process", async () => {
  await expect(pack(gathered([file("x".repeat(101), "one")]))).rejects.toThrow(
    "is too long a name for tar",
  );
});
