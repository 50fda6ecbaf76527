/** How an alert about a service of ours is had: what is done to the real service, and what ends it. */
interface RealTrouble {
  readonly begins: string;
  readonly ends: string;
}

/** Alerts that fire, and resolve, by what our own running services, Prometheus and Alertmanager say. */
export const REAL: Readonly<Record<string, RealTrouble>> = {
  Watchdog: { begins: "it always fires", ends: "never" },
  BackendDown: { begins: "a detector and an exporter are killed", ends: "they are started" },
  FettleServiceAbsent: { begins: "discovery loses the hypervisor", ends: "it is found again" },
  DrillNotRunRecently: { begins: "no drill was ever reported", ends: "one is reported" },
  AlertmanagerNotDelivering: {
    begins: "Alertmanager is answered 503 by the receiver, whose database is read-only",
    ends: "the database takes writes",
  },
  PrometheusRulesFailing: {
    begins: "a join of a user's rule is no longer one-to-one",
    ends: "the second series is gone",
  },
  AIOpsAnomalyDetected: { begins: "an application's queue is not measured", ends: "it is" },
  DetectorQueriesFailing: { begins: "Prometheus answers 503", ends: "it answers" },
  DetectorMetricUnwatched: {
    begins: "a metric is leased to a replica that is not there",
    ends: "the lease runs out",
  },
  DetectorSeriesRefused: { begins: "more series than AIOPS_MAX_SERIES", ends: "fewer" },
  DetectorAlertsUndelivered: {
    begins: "AIOPS_WEBHOOK_URL refuses an anomaly for good, 415",
    ends: "nothing more is refused",
  },
  DetectorChannelLate: { begins: "AIOPS_WEBHOOK_URL answers 403", ends: "another answer" },
  DetectorHistoryDropped: { begins: "the database refuses what is written", ends: "it takes it" },
  DetectorTrainingOverdue: {
    begins: "trainings fail, since the database is away",
    ends: "none fails any more",
  },
  AuditExportOverdue: { begins: "the last export is three days old", ends: "an export" },
  AuditExportFailing: {
    begins: "the destination is no folder",
    ends: "it is one, and the exporter goes on",
  },
  AuditExportHeldBack: {
    begins: "a transaction is open since before a row of two days ago",
    ends: "it is ended",
  },
  AuditDecryptDrillOverdue: { begins: "the last drill is three days old", ends: "one of now" },
  RunbooksDatabaseUnwritable: { begins: "the database is read-only", ends: "it takes writes" },
  RunbooksInboxWaiting: { begins: "the executor is stopped", ends: "it is started" },
  RunbooksInboxNearlyFull: { begins: "40,001 deliveries wait", ends: "they are gone" },
  RunbooksRunNeedsPerson: {
    begins: "a restart is carried out and the anomaly stays",
    ends: "no further run ends so",
  },
  RunbooksPolicyStale: { begins: "the ConfigMap has a mistake", ends: "it is corrected" },
  RunbooksCatalogUnreadable: { begins: "RUNBOOKS_FILE has a mistake", ends: "it is corrected" },
  RunbooksClockSkewed: { begins: "the receiver's clock is 45 s ahead", ends: "it is right" },
  RunbooksConnectionsRefused: { begins: "260 connections of one address", ends: "none" },
  RunbooksChannelLate: {
    begins: "Slack answers 503 to letters of 10 min ago",
    ends: "it takes them",
  },
  RunbooksDiagnosticsPending: { begins: "the bucket answers 503", ends: "it takes the bundle" },
  RunbooksAuditProblems: { begins: "a row of the record is changed", ends: "it is as it was" },
  RunbooksAuditUnverified: {
    begins: "the record cannot be found sound",
    ends: "it is found sound",
  },
  FettleRequestsFailing: {
    begins: "deliveries are answered 503, since the database is read-only",
    ends: "the database takes writes",
  },
};

/** Alerts about what is not ours, by metrics of the same names that the test makes up: where the real ones come from. */
export const MADE_UP: Readonly<Record<string, string>> = {
  BackupOverdue: "kube-state-metrics, of a CronJob: needs a cluster",
  CostSpikeCluster: "Kubecost or OpenCost: need a cluster and its prices",
  NamespaceBudgetExceeded: "Kubecost or OpenCost",
  FalcoCriticalEvent: "Falco: needs the kernel's eyes on a node",
  SLOErrorBudgetBurn: "your application's requests",
  SLOErrorBudgetBurnFast: "your application's requests",
  SLOErrorBudgetBurnSlow: "your application's requests",
};
