import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import type Docker from "dockerode";
import { dockerTerminals } from "../../../hypervisor/backends/docker/terminals.ts";

const FOUND = {
  Id: "1",
  Name: "/web",
  Created: "2026-01-01T00:00:00Z",
  Image: "sha256:1",
  State: { Status: "running", StartedAt: "2026-01-01T00:00:00Z" },
  Config: {},
  HostConfig: {},
  NetworkSettings: {},
};

test("a shell that the engine opens after its caller has gone is closed, and what runs in it is ended", async () => {
  const stream = new PassThrough();
  const commands: (readonly string[])[] = [];
  const started = Promise.withResolvers<PassThrough>();
  const exec = async ({ Cmd }: { readonly Cmd: readonly string[] }) => {
    commands.push(Cmd);
    const isFirst = commands.length === 1;
    return Promise.resolve({
      start: async () => (isFirst ? started.promise : Promise.resolve(new PassThrough())),
      resize: async () => Promise.resolve(),
      inspect: async () => Promise.resolve({ Running: false, ExitCode: 0 }),
    });
  };
  const container = { inspect: async () => Promise.resolve(FOUND), exec };
  const docker = { getContainer: () => container } as unknown as Docker;
  const caller = new AbortController();
  const request = { project: "default", name: "web", columns: 80, rows: 24, command: ["sh"] };
  const opening = dockerTerminals(docker).open(request, caller.signal);
  while (commands.length === 0) await turn();
  caller.abort(new Error("too late"));
  started.resolve(stream);

  await expect(opening).rejects.toThrow("too late");

  while (!stream.closed) await turn();
  while (commands.length < 2) await turn();
  expect(commands[1]?.join(" ")).toContain("-KILL");
});
