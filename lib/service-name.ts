/**
 * What the service calls itself in its traces: the command, and of the runbooks service the role as well. That is its name in
 * docker-compose.yml and its pods' label, so that a trace leads to its log (label `service`) and its metrics (label `job`).
 *
 * @param args what follows `fettle`, such as `runbooks --role receiver`
 */
export function serviceName(args: readonly string[], env: NodeJS.ProcessEnv): string {
  const command = args.find((word) => !word.startsWith("-")) ?? "fettle";
  if (command !== "runbooks") return command;
  const role = roleIn(args) ?? env["RUNBOOKS_ROLE"] ?? "both";
  return ["receiver", "executor"].includes(role) ? `${command}-${role}` : command;
}

function roleIn(args: readonly string[]): string | undefined {
  const at = args.indexOf("--role");
  return at >= 0 ? args[at + 1] : args.find((word) => word.startsWith("--role="))?.slice(7);
}
