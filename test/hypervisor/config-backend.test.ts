import { expect, test } from "@jest/globals";
import { backendAccess, backendVariables } from "../../hypervisor/config-backend.ts";
import { readConfig, type Environment } from "../../lib/config.ts";

function read(env: Environment) {
  const problems: string[] = [];
  const access = backendAccess(readConfig(backendVariables, env), problems);
  return { access, problems };
}

test("a backend alone is reached by its package's socket", () => {
  expect(read({ HYPERVISOR_BACKEND: "lxd" })).toEqual({
    access: { name: "lxd", address: { socket: "/var/lib/lxd/unix.socket" } },
    problems: [],
  });
  expect(read({})).toEqual({ access: undefined, problems: [] });
});

test("an address must be https, and is no socket; certificates need an address and each other", () => {
  const url = "http://10.0.0.1:2375";
  const socket = "/run/docker.sock";

  expect(read({ HYPERVISOR_BACKEND: "docker", HYPERVISOR_BACKEND_URL: url }).problems).toEqual([
    "HYPERVISOR_BACKEND_URL: must be https://",
  ]);
  const both = { HYPERVISOR_BACKEND_URL: "https://a:8443", HYPERVISOR_BACKEND_SOCKET: socket };
  expect(read({ HYPERVISOR_BACKEND: "lxd", ...both }).problems).toEqual([
    "HYPERVISOR_BACKEND_SOCKET and HYPERVISOR_BACKEND_URL: set one of them",
  ]);
  expect(
    read({ HYPERVISOR_BACKEND: "lxd", HYPERVISOR_BACKEND_CERT_FILE: "/nowhere" }).problems,
  ).toEqual([
    "HYPERVISOR_BACKEND_CERT_FILE: needs an https:// address in HYPERVISOR_BACKEND_URL",
    "HYPERVISOR_BACKEND_KEY_FILE: is required when HYPERVISOR_BACKEND_CERT_FILE is set",
    "HYPERVISOR_BACKEND_CERT_FILE: /nowhere: ENOENT: no such file or directory, open '/nowhere'",
  ]);
});
