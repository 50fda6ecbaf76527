import { expect, test } from "@jest/globals";
import { settleMs, writeRemote, type SftpWrapper } from "../../exporter/adapters/sftp-transfer.ts";

type Answer = Error | undefined;

const failure = (code: number): Error => Object.assign(new Error("Failure"), { code });

/** A server that takes everything and says this at the end, as one does that finds its disk full only then. */
function serverThatSays({ sync, close }: { sync?: Answer; close?: Answer }) {
  const called: string[] = [];
  const answer = (name: string, error: Answer, done: (error: Answer, handle?: Buffer) => void) => {
    called.push(name);
    done(error, Buffer.of(1));
  };
  type Done = (error: Answer, handle?: Buffer) => void;
  const server = {
    open: (_path: string, _flags: string, _mode: number, done: Done) => {
      answer("open", undefined, done);
    },
    write: (...[, , , , , done]: [Buffer, Buffer, number, number, number, Done]) => {
      answer("write", undefined, done);
    },
    ext_openssh_fsync: (_handle: Buffer, done: Done) => {
      answer("fsync", sync, done);
    },
    close: (_handle: Buffer, done: Done) => {
      answer("close", close, done);
    },
  };
  return { called, server: server as unknown as SftpWrapper };
}

const usual = (): void => undefined;

async function* content(): AsyncGenerator<Buffer> {
  yield await Promise.resolve(Buffer.from("sealed"));
}

test.each([
  ["fsync", { sync: failure(4) }],
  ["close", { close: failure(4) }],
  ["close, of a server that knows no fsync", { sync: failure(8), close: failure(4) }],
])("a file is not written when the server says so only at %s", async (_when, says) => {
  const { called, server } = serverThatSays(says);

  await expect(writeRemote(server, "x", 0o600, content(), usual)).rejects.toThrow("Failure");

  expect(called).toEqual(["open", "write", "fsync", "close"]);
});

test("a server that knows no fsync is no failure", async () => {
  const { called, server } = serverThatSays({ sync: failure(8) });

  await writeRemote(server, "x", 0o600, content(), usual);

  expect(called).toEqual(["open", "write", "fsync", "close"]);
});

test("what broke the writing is told, and not how closing went after it", async () => {
  const { server } = serverThatSays({ close: failure(4) });
  async function* broken(): AsyncGenerator<Buffer> {
    yield* content();
    throw new Error("the file cannot be read");
  }

  await expect(writeRemote(server, "x", 0o600, broken(), usual)).rejects.toThrow("cannot be read");
});

test("while the server puts a file on its disk it may be silent for minutes, in proportion to the file", async () => {
  const { called, server } = serverThatSays({});

  await writeRemote(server, "x", 0o600, content(), (ms) => {
    called.push(ms === undefined ? "as usual" : `${ms} ms`);
  });

  expect(called).toEqual(["open", "write", `${settleMs(6)} ms`, "fsync", "close", "as usual"]);
  expect(settleMs(0)).toBe(120_000);
  expect(settleMs(1024 ** 3)).toBeGreaterThan(15 * 60_000);
});
