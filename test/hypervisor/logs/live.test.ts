import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { waitUntil } from "../../fakes/fettle.ts";
import { givenLogs, now, watchLog, type GivenLogs, type Watching } from "./given.ts";

const EVERYBODY = ["logs:read"];
const people = Object.fromEntries(
  Array.from({ length: 8 }, (_, i) => [`p${i}`, { permissions: EVERYBODY }]),
);

let given: GivenLogs;
let other: GivenLogs;
beforeAll(async () => {
  // With forty feeds the usual 30 ms would take a processor of its own.
  given = await givenLogs({ people, slowMs: 300, pollMs: 200 });
  other = await givenLogs({ people, loki: given.loki, pollMs: 200 });
});
afterAll(async () => {
  await other.stop();
  await given.stop();
});

const isReady = ({ messages }: Watching) => messages.some(({ type }) => type === "ready");

async function ready(watching: Watching): Promise<void> {
  await waitUntil("it to be ready", async () => Promise.resolve(isReady(watching)));
}

test("the newest lines come first, then each new one, and only those that are asked for", async () => {
  const labels = { service_name: "shop" };
  given.loki.push(labels, [
    [now() - 3_600_000_000_000n, "level=info of an hour ago"],
    [now() - 60_000_000_000n, "level=info of a minute ago"],
    [now(), "level=error just now"],
  ]);
  const all = watchLog(given.frame.url, "/ws/logs/shop?tail=2");
  const errors = watchLog(given.frame.url, "/ws/logs/shop?level=error&search=disk&tail=0");
  await Promise.all([ready(all), ready(errors)]);
  given.loki.push(labels, [
    [now(), "level=error disk full"],
    [now(), "level=info disk fine"],
  ]);
  await waitUntil("the new lines", async () => Promise.resolve(all.lines().length >= 4));
  expect(all.lines()).toEqual([
    "level=info of a minute ago",
    "level=error just now",
    "level=error disk full",
    "level=info disk fine",
  ]);
  await waitUntil("the error", async () => Promise.resolve(errors.lines().length >= 1));
  expect(errors.lines()).toEqual(["level=error disk full"]);
  all.socket.close();
  errors.socket.close();
});

test("a line that comes late is told when it comes, and once", async () => {
  const labels = { service_name: "late" };
  const watching = watchLog(given.frame.url, "/ws/logs/late");
  await ready(watching);
  const at = now();
  given.loki.push(labels, [[at, "in time"]]);
  await waitUntil("the first line", async () => Promise.resolve(watching.lines().length === 1));
  given.loki.push({ ...labels, pod: "b" }, [[at - 2_000_000_000n, "two seconds late"]]);
  await waitUntil("the second line", async () => Promise.resolve(watching.lines().length === 2));
  given.loki.push(labels, [[now(), "after it"]]);
  await waitUntil("the third line", async () => Promise.resolve(watching.lines().length >= 3));
  expect(watching.lines()).toEqual(["in time", "two seconds late", "after it"]);
  watching.socket.close();
});

test("after an outage of Loki the lines of that time are told", async () => {
  const labels = { service_name: "outage" };
  const watching = watchLog(given.frame.url, "/ws/logs/outage");
  await ready(watching);
  given.loki.fail(503);
  await sleep(150);
  given.loki.push(labels, [[now(), "during the outage"]]);
  given.loki.fail(undefined);
  given.loki.push(labels, [[now(), "after it"]]);
  await waitUntil("the lines of the outage", async () =>
    Promise.resolve(watching.lines().length >= 2),
  );
  expect(watching.lines()).toEqual(["during the outage", "after it"]);
  watching.socket.close();
});

test.each([
  ["without a token", "/ws/logs/x", { headers: {} }, 401],
  ["with a foreign token", "/ws/logs/x", { headers: { authorization: "Bearer nobody" } }, 401],
  ["without the permission", "/ws/logs/x", { headers: { authorization: "Bearer eve" } }, 403],
  ["from a foreign page", "/ws/logs/x", { origin: "https://evil.example" }, 403],
  ["from a sandbox", "/ws/logs/x", { origin: "null" }, 403],
  ["with a made-up cursor", "/ws/logs/x?cursor=abc", {}, 400],
  ["with an unknown parameter", "/ws/logs/x?tial=3", {}, 400],
])(
  "a connection %s is refused before the protocol is switched",
  async (_how, path, options, status) => {
    const { socket } = watchLog(given.frame.url, path, "ana", options);
    const answered = await new Promise((resolve) => {
      socket.once("unexpected-response", (_request, response) => {
        resolve(response.statusCode);
      });
      socket.once("open", () => {
        resolve("open");
      });
    });
    expect(answered).toBe(status);
    socket.terminate();
  },
);

test("browsers name the token as a subprotocol, from a page in the list", async () => {
  const address = `${given.frame.url.replace("http", "ws")}/ws/logs/page`;
  const socket = new WebSocket(address, ["fettle", "bearer.ana"], {
    origin: "https://console.example.com",
  });
  await new Promise((resolve) => socket.once("open", resolve));
  expect(socket.protocol).toBe("fettle"); // not the one with the token in it
  socket.terminate();
});

test("a client that says something, or too much, is sent away", async () => {
  const talking = watchLog(given.frame.url, "/ws/logs/x");
  await ready(talking);
  talking.socket.send("hello");
  expect(await talking.closed).toEqual([1008, "this connection only tells"]);
  const shouting = watchLog(given.frame.url, "/ws/logs/x");
  await ready(shouting);
  shouting.socket.send("x".repeat(70_000));
  expect((await shouting.closed)[0]).toBe(1009);
});

test("after a logout the connection is closed, and so it is without the permission", async () => {
  const gone = new Set<string>();
  const own = await givenLogs({
    people,
    loki: given.loki,
    lookMs: 50,
    standing: async (principal) => {
      if (gone.has(`out ${principal.name}`)) return Promise.resolve(undefined);
      const permissions = gone.has(`less ${principal.name}`) ? [] : principal.permissions;
      return Promise.resolve({ ...principal, permissions });
    },
  });
  try {
    const [stays, out, less] = ["p0", "p1", "p2"].map((as) =>
      watchLog(own.frame.url, "/ws/logs/x", as),
    ) as [Watching, Watching, Watching];
    await Promise.all([stays, out, less].map(ready));
    gone.add("out p1").add("less p2");
    expect(await out.closed).toEqual([4401, "signed out"]);
    expect(await less.closed).toEqual([4403, "no longer permitted: logs:read"]);
    expect(stays.socket.readyState).toBe(WebSocket.OPEN);
    await waitUntil("the connection", async () => Promise.resolve(own.watch.size() === 1));
    const ending = own.watch.stop();
    expect(await stays.closed).toEqual([1001, "the service stops; come back"]);
    await ending;
  } finally {
    await own.stop();
  }
});

test("a client that does not read is cut off with a reason, and loses nothing when it comes back", async () => {
  const labels = { service_name: "flood" };
  const slow = watchLog(given.frame.url, "/ws/logs/flood?tail=0");
  await ready(slow);
  slow.socket.pause();
  const count = 12_000; // more than the ring and the kernel's buffers hold together
  const long = "x".repeat(1_000);
  for (let i = 0; i < count; i += 1) given.loki.push(labels, [[now(), `${i} ${long}`]]);
  await sleep(1_000);
  slow.socket.resume();
  const [code, reason] = await slow.closed;
  // 1006: it was cut before it could read why.
  expect(`${code} ${reason}`).toMatch(/^(1013 too slow: .*|1006 )$/);
  const got = [slow];
  const numbers = () =>
    got.flatMap((each) => each.lines()).map((line) => Number(line.split(" ")[0]));
  // On a busy machine whoever comes back may be too slow again.
  while (numbers().length < count && got.length < 20) {
    const cursor = got.at(-1)?.cursor() ?? "";
    const again = watchLog(given.frame.url, `/ws/logs/flood?cursor=${cursor}`);
    got.push(again);
    await waitUntil("the rest, or another end", async () =>
      Promise.resolve(numbers().length >= count || again.socket.readyState > 1),
    );
    again.cut();
  }
  expect(numbers()).toEqual(Array.from({ length: count }, (_, i) => i));
});

test("who comes back to a replica that has not read so far yet gets no line twice, and late ones too", async () => {
  const labels = { service_name: "behind" };
  const behind = await givenLogs({ people, loki: given.loki, pollMs: 3_000 });
  try {
    const early = watchLog(behind.frame.url, "/ws/logs/behind?tail=0"); // it reads now, and then in three seconds
    await ready(early);
    const first = watchLog(given.frame.url, "/ws/logs/behind?tail=0");
    await ready(first);
    given.loki.push(labels, [
      [now(), "one"],
      [now(), "two"],
    ]);
    await waitUntil("the lines", async () => Promise.resolve(first.lines().length === 2));
    first.cut();
    const again = watchLog(behind.frame.url, `/ws/logs/behind?cursor=${first.cursor() ?? ""}`);
    await ready(again);
    given.loki.push(labels, [
      [now() - 2_000_000_000n, "late"],
      [now(), "three"],
    ]);
    await waitUntil("the end", async () => Promise.resolve(again.lines().includes("three")));
    again.cut();
    const third = watchLog(behind.frame.url, `/ws/logs/behind?cursor=${again.cursor() ?? ""}`);
    await ready(third);

    expect([...first.lines(), ...again.lines(), ...third.lines()].toSorted()).toEqual([
      "late",
      "one",
      "three",
      "two",
    ]);
    for (const each of [early, third]) each.cut();
  } finally {
    await behind.stop();
  }
});

const STREAMS = 1_000;
const SERVICES = 20;
const LINES = 240;
const CUTS = 100;

test("1,000 streams and 100 random cuts: no line is lost, none comes twice, and the memory is bounded", async () => {
  const before = process.memoryUsage().rss;
  const replicas = [given, other];
  interface Stream {
    readonly service: number;
    readonly got: Watching[];
    replica: number;
  }
  let isOver = false;
  const open = (stream: Stream): void => {
    const cursor = stream.got.findLast((each) => each.cursor() !== undefined)?.cursor();
    const query = cursor === undefined ? "tail=0" : `cursor=${cursor}`;
    const { frame } = replicas[stream.replica] ?? given;
    const person = `p${stream.service % 8}`;
    const watching = watchLog(frame.url, `/ws/logs/svc-${stream.service}?${query}`, person);
    stream.got.push(watching);
    // Cut by the server, as who is too slow on a busy machine: they come back, as any client.
    void watching.closed.then(() => {
      if (!isOver && stream.got.at(-1) === watching) open(stream);
    });
  };
  const streams = Array.from({ length: STREAMS }, (_, i): Stream => {
    return { service: i % SERVICES, got: [], replica: i % 2 };
  });
  for (let at = 0; at < STREAMS; at += 100) {
    const some = streams.slice(at, at + 100);
    some.forEach(open);
    await waitUntil("the streams to be ready", async () =>
      Promise.resolve(some.every(({ got }) => got.some(isReady))),
    );
  }
  let cuts = 0;
  for (let line = 0; line < LINES; line += 4) {
    for (let service = 0; service < SERVICES; service += 1) {
      const values = [0, 1, 2, 3].map((more) => [now(), `line ${line + more}`] as const);
      given.loki.push({ service_name: `svc-${service}` }, values);
    }
    for (; cuts < (CUTS * (line + 4)) / LINES; cuts += 1) {
      const stream = streams[Math.floor(Math.random() * STREAMS)];
      if (stream === undefined || stream.got.at(-1)?.cursor() === undefined) continue;
      stream.got.at(-1)?.cut();
      // Half of them come back to the other replica, which has another ring.
      if (cuts % 2 === 0) stream.replica = 1 - stream.replica;
      open(stream);
    }
    await sleep(20);
  }
  const wanted = Array.from({ length: LINES }, (_, i) => `line ${i}`);
  const linesOf = ({ got }: Stream) => got.flatMap((watching) => watching.lines());
  await waitUntil("all lines", async () =>
    Promise.resolve(streams.every((stream) => linesOf(stream).length >= LINES)),
  );
  await sleep(200); // what came twice would come now
  isOver = true;
  const wrong = streams.filter((stream) => linesOf(stream).join() !== wanted.join());
  expect(wrong.map((stream) => [stream.got.length, linesOf(stream)])).toEqual([]);
  expect(cuts).toBe(CUTS);
  expect(streams.filter(({ got }) => got.length > 1).length).toBeGreaterThan(50);
  // Both ends of 1,000 connections, and what the clients here keep, are in this process.
  expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  for (const { got } of streams) got.at(-1)?.socket.terminate();
});
