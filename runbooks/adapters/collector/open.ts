import { openStore } from "../../../lib/adapters/storage/open.ts";
import { systemClock } from "../../../lib/clock.ts";
import type { Log } from "../../../lib/log.ts";
import { placeOptions } from "../../../lib/place-config.ts";
import { secretsOf } from "../../../lib/secret.ts";
import type { RunbooksConfig } from "../../config.ts";
import { collects } from "../../config/collector.ts";
import { hypervisorAccess } from "../../config/hypervisor.ts";
import { metricAccess } from "../../config/verify.ts";
import type { Kubernetes } from "../kubernetes/connect.ts";
import { kubernetesDiagnostics } from "../kubernetes/diagnostics.ts";
import { hypervisorLogs } from "./hypervisor-logs.ts";
import { prometheusRanges } from "./prometheus-ranges.ts";

/** Whom the collector asks, and where it puts what it gets. */
export function collectorPorts(config: RunbooksConfig, kubernetes: Kubernetes, log: Log) {
  const metrics = metricAccess(config);
  const hypervisor = hypervisorAccess(config);
  const store = placeOptions(config, systemClock);
  return {
    on: collects(config),
    diagnostics: kubernetesDiagnostics(kubernetes),
    metrics: metrics && prometheusRanges(metrics, log),
    containers: hypervisor && hypervisorLogs(hypervisor, log),
    secrets: secretsOf(config),
    store: store && openStore(store),
    linkSeconds: config.collectorLinkHours * 3600,
  };
}
