import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { startRecording } from "../../../hypervisor/live/recording.ts";
import { systemClock } from "../../../lib/clock.ts";
import { until } from "../backends/contract/subject.ts";
import { finished } from "../finished.ts";
import { givenHypervisor, STATIC_TOKEN, type Hypervisor } from "../given.ts";

let folder: string;
let given: Hypervisor;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fettle-terminal-"));
  given = await givenHypervisor({
    HYPERVISOR_BACKEND: "memory",
    HYPERVISOR_RECORDINGS_DIR: join(folder, "recordings"),
    HYPERVISOR_TERMINAL_IDLE_SECONDS: "10",
  });
  for (const name of ["web", "off"]) {
    const body = { name, image: "busybox" };
    await finished(given, await given.send("/api/v1/containers", { method: "POST", body }));
  }
  await given.send("/api/v1/containers/web/action", { method: "POST", body: { action: "start" } });
});
afterAll(async () => {
  await given.stop();
  await rm(folder, { recursive: true });
});

function openTerminal(path: string, as = STATIC_TOKEN) {
  const socket = new WebSocket(`${given.url.replace("http", "ws")}${path}`, {
    headers: { authorization: `Bearer ${as}` },
  });
  let shown = "";
  const told: string[] = [];
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) shown += data.toString("utf8");
    else told.push(data.toString("utf8"));
  });
  socket.on("error", () => undefined);
  const refused = new Promise<number | undefined>((resolve) => {
    socket.once("unexpected-response", (_request, response) => {
      resolve(response.statusCode);
    });
    socket.once("open", () => {
      resolve(undefined);
    });
  });
  const closed = new Promise<readonly [number, string]>((resolve) => {
    socket.once("close", (code, reason) => {
      resolve([code, reason.toString("utf8")]);
    });
  });
  const shows = async (text: string) => until(async () => Promise.resolve(shown.includes(text)));
  return { socket, told, refused, closed, shows, shown: () => shown };
}

async function rowsAbout(session: string) {
  const { rows } = await given.database.query<{
    event: string;
    target: string;
    facts: Readonly<Record<string, unknown>>;
  }>(
    "SELECT event, target, detail->'facts' AS facts FROM runbooks_audit WHERE detail->'facts'->>'session' = $1 ORDER BY id",
    [session],
  );
  return rows;
}

test("what is typed reaches the shell, the size is passed on, and the session is recorded and in the audit log", async () => {
  const terminal = openTerminal("/ws/terminal/web?columns=100&rows=30");
  await terminal.shows("$ ");
  terminal.socket.send(Buffer.from("stty size\n"));
  await terminal.shows("30 100");
  terminal.socket.send(JSON.stringify({ type: "resize", columns: 132, rows: 43 }));
  terminal.socket.send(JSON.stringify({ type: "input", data: "stty size\n" }));
  await terminal.shows("43 132");
  terminal.socket.send(Buffer.from("echo grüße\n"));
  await terminal.shows("grüße\r\n");
  terminal.socket.send(Buffer.from("exit 3\n"));
  expect(await terminal.closed).toEqual([1000, "the command has ended"]);
  expect(terminal.told).toEqual(['{"type":"exit","code":3}']);

  const [file = ""] = await readdir(join(folder, "recordings"));
  const session = file.replace(/\.cast$/, "");
  await until(async () => (await rowsAbout(session)).length === 2);
  const path = join(folder, "recordings", file);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const text = await readFile(path, "utf8");
  const [header, ...events] = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  expect(header).toEqual(
    expect.objectContaining({
      version: 2,
      width: 100,
      height: 30,
      title: "default/web by api-token",
    }),
  );
  const output = (events as readonly [number, string, string][])
    .filter(([, kind]) => kind === "o")
    .map(([, , data]) => data)
    .join("");
  expect(output).toBe(terminal.shown());
  expect(events).toContainEqual([expect.any(Number), "r", "132x43"]);
  const sha256 = createHash("sha256").update(text).digest("hex");
  expect(await rowsAbout(session)).toEqual([
    {
      event: "TerminalOpened",
      target: "hypervisor//container/web",
      facts: { session, project: "default", recording: file },
    },
    expect.objectContaining({
      event: "TerminalClosed",
      facts: {
        session,
        project: "default",
        exit_code: 3,
        recording: file,
        bytes: Buffer.byteLength(text),
        sha256,
      },
    }),
  ]);
});

test("half a character at the end of a piece is recorded with its other half", async () => {
  const start = { id: "halves", title: "t", columns: 80, rows: 24 };
  const recording = await startRecording(folder, start, systemClock);
  const bytes = Buffer.from("grün");
  await recording.output(bytes.subarray(0, 3));
  await recording.output(bytes.subarray(3));
  await recording.finish();
  const lines = (await readFile(join(folder, "halves.cast"), "utf8")).trimEnd().split("\n");
  const events = lines.slice(1).map((line) => (JSON.parse(line) as [number, string, string])[2]);
  expect(events).toEqual(["gr", "ün"]);
  await expect(startRecording(folder, start, systemClock)).rejects.toThrow("EEXIST");
});

test.each([
  ["/ws/terminal/web", "", 401],
  ["/ws/terminal/web?project=other", STATIC_TOKEN, 404],
  ["/ws/terminal/none", STATIC_TOKEN, 404],
  ["/ws/terminal/off", STATIC_TOKEN, 409],
  ["/ws/terminal/..%2fweb", STATIC_TOKEN, 400],
  ["/ws/terminal/web?columns=0", STATIC_TOKEN, 400],
  ["/ws/terminal/web?shell=bash", STATIC_TOKEN, 400],
])(
  "%s is refused before the protocol is switched, and leaves no recording",
  async (path, as, status) => {
    const before = await readdir(join(folder, "recordings"));
    expect(await openTerminal(path, as).refused).toBe(status);
    expect(await readdir(join(folder, "recordings"))).toEqual(before);
  },
);

test("Operators have no terminal, and the attempt is in the audit log", async () => {
  const { name, token } = await given.person("Operator");
  expect(await openTerminal("/ws/terminal/web", token).refused).toBe(403);
  expect(await given.lastRow()).toEqual(
    expect.objectContaining({ actor: name, event: "AccessDenied", result: "Refused" }),
  );
});

test("a text that is no order ends the session", async () => {
  const terminal = openTerminal("/ws/terminal/web");
  await terminal.shows("$ ");
  terminal.socket.send("reboot");
  expect(await terminal.closed).toEqual([1008, "a text must be a resize or an input"]);
});

test("a terminal in which nothing is typed is closed", async () => {
  const terminal = openTerminal("/ws/terminal/web");
  await terminal.shows("$ ");
  expect(await terminal.closed).toEqual([4408, "nothing was typed for 10 s"]);
}, 60_000);

test("one person has ten terminals at most, and leaves room for others", async () => {
  const { token } = await given.person("Admin");
  const ten = Array.from({ length: 10 }, () => openTerminal("/ws/terminal/web", token));
  expect(await Promise.all(ten.map(async ({ refused }) => refused))).toEqual(
    Array(10).fill(undefined),
  );
  expect(await openTerminal("/ws/terminal/web", token).refused).toBe(429);
  for (const { socket } of ten) socket.close();
  await Promise.all(ten.map(async ({ closed }) => closed));
  let again = openTerminal("/ws/terminal/web", token);
  await until(async () => {
    if ((await again.refused) === undefined) return true;
    again = openTerminal("/ws/terminal/web", token);
    return false;
  });
  again.socket.close();
  await again.closed;
});
