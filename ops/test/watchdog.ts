import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FOLDER_VARIABLE } from "./workspace.ts";

const SERVICES = fileURLToPath(new URL("services.ts", import.meta.url));

/**
 * Starts a small shell that waits on a pipe to us. When we end in a way that lets nobody clean up (kill -9), the
 * kernel closes the pipe and the shell sweeps in our place.
 *
 * @returns how to call it off
 */
export function startWatchdog(workspace: string): { callOff(): void } {
  const watchdog = spawn(
    "/bin/sh",
    ["-c", 'cat >/dev/null; exec "$@"', "sh", process.execPath, SERVICES, "sweep", workspace],
    {
      cwd: "/",
      env: { ...process.env, [FOLDER_VARIABLE]: undefined }, // else a sweep of an outer run would end it too early
      stdio: ["pipe", "ignore", "ignore"],
      detached: true, // out of reach of a kill of our whole process group
    },
  );
  watchdog.unref();
  return {
    callOff: () => {
      if (watchdog.pid !== undefined) process.kill(-watchdog.pid, "SIGKILL");
    },
  };
}
