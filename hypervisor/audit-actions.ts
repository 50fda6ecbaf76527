/** What can stand as `action` in the audit log, by the type of what it is done to. */
export const AUDIT_ACTIONS = {
  container: [
    "ContainerCreated",
    "ContainerDeleted",
    "ContainerStarted",
    "ContainerStopped",
    "ContainerRestarted",
    "ContainerPaused",
    "ContainerResumed",
    "ContainerUpdated",
    "TerminalOpened",
    "TerminalClosed",
    "RecordingRead",
  ],
  snapshot: [
    "SnapshotCreated",
    "SnapshotRestored",
    "SnapshotDeleted",
    "SnapshotCloned",
    "SnapshotExported",
    "SnapshotExportDeleted",
  ],
  user: [
    "UserCreated",
    "UserUpdated",
    "UserDeleted",
    "UserLogin",
    "UserLogout",
    "UserPasswordChanged",
    "RefreshReused",
    "IdentityBound",
  ],
  role: ["RoleCreated", "RoleUpdated", "RoleDeleted"],
  token: ["TokenCreated", "TokenRevoked"],
  organization: [
    "OrganizationCreated",
    "OrganizationUpdated",
    "OrganizationDeleted",
    "OrganizationReconciled",
  ],
  vdc: ["VDCCreated", "VDCUpdated", "VDCDeleted"],
  cluster: ["ClusterJoined", "ClusterLeft"],
  storage: [
    "StoragePoolCreated",
    "StoragePoolDeleted",
    "StorageVolumeCreated",
    "StorageVolumeDeleted",
  ],
  network: ["BridgeCreated", "BridgeDeleted"],
  system: [
    "ConfigurationChanged",
    "SystemStarted",
    "SystemStopped",
    "DrillRecorded",
    "SigningKeyRotated",
    "RecordingsPruned",
  ],
  workflow: ["ProgressUpdated"],
  schedule: ["ScheduleCreated", "ScheduleUpdated", "ScheduleDeleted", "SnapshotsPruned"],
  template: ["TemplateCreated", "TemplateUpdated", "TemplateDeleted"],
  /** A request that was refused and would have changed nothing. */
  route: ["AccessDenied"],
} as const;

export type ResourceType = keyof typeof AUDIT_ACTIONS;
export type AuditAction = (typeof AUDIT_ACTIONS)[ResourceType][number];
