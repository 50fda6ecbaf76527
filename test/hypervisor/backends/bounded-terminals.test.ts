import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { boundedTerminals } from "../../../hypervisor/backends/bounded-terminals.ts";

const REQUEST = { project: "default", name: "web", columns: 80, rows: 24, command: ["sh"] };

function given(max: number) {
  const streams: PassThrough[] = [];
  let broken = false;
  const raw = {
    open: async () => {
      if (broken) throw new Error("no shell");
      const stream = new PassThrough();
      streams.push(stream);
      const resize = async () => Promise.resolve();
      return Promise.resolve({ stream, resize, exitCode: Promise.resolve(0) });
    },
  };
  const terminals = boundedTerminals(raw, max);
  const open = async () => terminals.open(REQUEST, new AbortController().signal);
  return { streams, open, break: (now: boolean) => (broken = now) };
}

test("a backend has so many terminals and no more, until one of them is closed", async () => {
  const { streams, open } = given(2);
  const atOnce = await Promise.allSettled([open(), open(), open()]);
  expect(atOnce.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
  await expect(open()).rejects.toMatchObject({
    kind: "busy",
    message: "2 terminals are open on this backend, which is all that it may have",
  });

  streams[0]?.destroy();
  await turn();

  await open();
  await expect(open()).rejects.toMatchObject({ kind: "busy" });
});

test("a terminal that could not be opened takes no place", async () => {
  const { open, break: breakIt } = given(1);
  breakIt(true);
  await expect(open()).rejects.toThrow("no shell");
  breakIt(false);
  await open();
});
