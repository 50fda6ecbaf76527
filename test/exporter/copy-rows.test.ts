import { Duplex } from "node:stream";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import pg, { type Connection } from "pg";
import { CopyRows } from "../../exporter/adapters/copy-rows.ts";
import { PartCutter } from "../../exporter/cut-parts.ts";
import { LeafEncoder } from "../../exporter/leaf.ts";
import { PartSplitter } from "../../exporter/parts.ts";
import type { RowBatch } from "../../exporter/types.ts";

/** Rows as PostgreSQL sends them in a session in UTC, and as they are to be exported. */
const TIMES = [
  ["2026-11-21 14:05:00+00", "2026-11-21T14:05:00Z"],
  ["2026-11-21 14:05:00.123456+00", "2026-11-21T14:05:00.123456Z"],
  ["12026-11-21 14:05:00.5+00", "12026-11-21T14:05:00.5Z"],
  ["infinity", "infinity"],
  ["-infinity", "-infinity"],
  ["0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC"],
  ["", ""],
] as const;
const HEADER = "id,xid,ts,run_id\n";

const rest = fc.oneof(
  fc.constant(""),
  fc.constantFrom('"a,b"', '"line\nnext"', '"said ""no"""', "x 1+00,y", "a".repeat(5_000)),
  fc.string({ maxLength: 40 }).map((text) => `"${text.replaceAll('"', '""')}"`),
);
const rows = fc.array(
  fc
    .tuple(fc.nat(1e9), fc.nat(1e9), fc.constantFrom(...TIMES), rest)
    .map(([id, xid, time, end]) => ({
      sent: `${id},${xid},${time[0]},${end}\n`,
      wanted: `${id},${xid},${time[1]},${end}\n`,
    })),
  { maxLength: 40 },
);

function message(code: string, body = ""): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(code, 0, "latin1");
  head.writeUInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
}

/** A COPY that was begun, the socket that it reads from, and what the driver was given back. */
function given() {
  const back: Buffer[] = [];
  const socket = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  const driver = (chunk: Buffer) => {
    back.push(chunk);
    if (chunk[0] === "C".charCodeAt(0)) copy.handleCommandComplete({ text: "COPY 7" });
    if (chunk[0] === "E".charCodeAt(0)) copy.handleError(new Error("refused by the server"));
  };
  socket.on("data", driver);
  const asked: string[] = [];
  const copy = new CopyRows("COPY x TO STDOUT", 1_000);
  copy.submit({
    stream: socket,
    query: (text: string) => asked.push(text),
  } as unknown as Connection);
  return { copy, socket, driver, asked, back };
}

function inPieces(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

test("gives whole rows with times of RFC 3339, wherever the pieces fall, and the socket back to the driver", async () => {
  await fc.assert(
    fc.asyncProperty(rows, fc.integer({ min: 1, max: 90_000 }), async (all, size) => {
      const { copy, socket, driver, asked, back } = given();
      const notice = message("N", "a notice in between");
      const end = [message("c"), message("C", "COPY 7\0"), message("Z", "I")];
      const sent = [
        message("H", "\0\0\0"),
        message("d", HEADER),
        ...all.flatMap(({ sent: row }) => [message("d", row), notice]),
        ...end,
      ];
      for (const piece of inPieces(Buffer.concat(sent), size)) socket.push(Buffer.from(piece));

      const batches = (await copy.toArray()) as RowBatch[];

      const got = batches.flatMap(({ csv, ends }) =>
        ends.map((at, n) => csv.toString("utf8", ends[n - 1] ?? 0, at)),
      );
      expect(got).toEqual([HEADER, ...all.map(({ wanted }) => wanted)]);
      expect(asked).toEqual(["COPY x TO STDOUT"]);
      expect(copy.rowCount).toBe(7);
      expect(Buffer.concat(back)).toEqual(Buffer.concat(end.slice(1)));
      expect(socket.listeners("data")).toEqual([driver]);
      expect(socket.destroyed).toBe(false);
    }),
    { numRuns: 100 },
  );
});

test("a row larger than the buffer comes as a whole", async () => {
  const { copy, socket } = given();
  const row = `1,2,2026-11-21 14:05:00+00,${"x".repeat(3_000_000)}\n`;
  const sent = Buffer.concat([
    message("d", HEADER),
    message("d", row),
    message("d", row),
    message("C"),
  ]);
  for (const piece of inPieces(sent, 65_536)) socket.push(Buffer.from(piece));

  const batches = (await copy.toArray()) as RowBatch[];

  const wanted = row.replace(" ", "T").replace("+00", "Z");
  expect(Buffer.concat(batches.map(({ csv }) => csv)).toString()).toBe(HEADER + wanted + wanted);
});

test("what the server says in the middle of the rows ends them with its reason, and leaves the connection alone", async () => {
  const { copy, socket } = given();
  socket.push(
    Buffer.concat([message("d", HEADER), message("d", "1,2,,\n"), message("E", "refused")]),
  );

  await expect(copy.toArray()).rejects.toThrow("refused by the server");
  expect(socket.destroyed).toBe(false);
});

test("whoever stops reading cuts the connection, for the server hears nothing else", async () => {
  const { copy, socket } = given();
  socket.push(Buffer.concat([message("d", HEADER), message("d", "1,2,,\n")]));
  let told = 0;
  copy.callback = () => told++;

  copy.destroy();
  await new Promise((resolve) => copy.once("close", resolve));

  expect(socket.destroyed).toBe(true);
  expect(told).toBe(1); // the driver's timer
});

/** Has the driver's own connection read a socket; it keeps what it cannot read yet. @returns what it has read */
function driverOn(socket: Duplex): string[] {
  const read: string[] = [];
  const driver = new pg.Connection({ stream: socket } as unknown as pg.ConnectionConfig);
  for (const name of ["commandComplete", "readyForQuery"]) driver.on(name, () => read.push(name));
  (driver as unknown as { attachListeners: (socket: Duplex) => void }).attachListeners(socket);
  return read;
}

test("the driver reads on, wherever the socket cut the last messages, when the last rows have been given to a thread", async () => {
  const rowsOf = Buffer.concat([message("d", HEADER), message("d", "1,2,,\n")]);
  const end = Buffer.concat([message("c"), message("C", "COPY 2\0"), message("Z", "I")]);
  for (let cut = 0; cut <= end.length; cut += 1) {
    const socket = new Duplex({ read: () => undefined });
    const told = driverOn(socket);
    const copy = new CopyRows("COPY x TO STDOUT", 1_000);
    copy.submit({ stream: socket, query: () => undefined } as unknown as Connection);
    const reading = copy.toArray();
    socket.push(Buffer.concat([rowsOf, end.subarray(0, cut)]));
    await new Promise((resolve) => setImmediate(resolve));
    const taken = copy.readableEnded ? ((await reading) as RowBatch[]) : [];
    for (const { csv } of taken) structuredClone(csv, { transfer: [csv.buffer] });

    socket.push(Buffer.from(end.subarray(cut)));

    expect(await reading).toHaveLength(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual(["commandComplete", "readyForQuery"]);
  }
});

test("a connection that is lost before anybody reads is told to whoever reads", async () => {
  const { copy } = given();
  copy.handleError(new Error("the connection is lost"));
  await new Promise((resolve) => setImmediate(resolve));

  await expect(copy.toArray()).rejects.toThrow("the connection is lost");
});

test("parts of batches are those of the bytes", async () => {
  await fc.assert(
    fc.asyncProperty(
      rows,
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 12_000 }),
      async (all, perBatch, partBytes) => {
        const records = [HEADER, ...all.map(({ wanted }) => wanted)].map((row) => Buffer.from(row));
        const batches: RowBatch[] = [];
        for (let at = 0; at < records.length; at += perBatch) {
          let end = 0;
          const some = records.slice(at, at + perBatch);
          batches.push({
            csv: Buffer.concat(some),
            ends: some.map(({ length }) => (end += length)),
          });
        }
        const taker = new LeafEncoder("off", () => undefined);
        const splitter = new PartSplitter(streamOf(records), { partBytes, rows: taker });

        const cutter = new PartCutter(streamOf(batches), partBytes);

        expect(await partsOf(cutter)).toEqual(await partsOf(splitter));
      },
    ),
    { numRuns: 300 },
  );
});

async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function partsOf(rowsOf: PartCutter | PartSplitter): Promise<unknown[]> {
  const parts: unknown[] = [];
  do {
    const pieces: Buffer[] = [];
    for await (const piece of rowsOf.part()) pieces.push(piece);
    parts.push({ ...rowsOf.summary, csv: Buffer.concat(pieces).toString(), read: rowsOf.rowsRead });
  } while (!rowsOf.summary.isLast);
  return parts;
}
