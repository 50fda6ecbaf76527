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
  ],
  snapshot: ["SnapshotCreated", "SnapshotRestored", "SnapshotDeleted", "SnapshotCloned"],
  user: [
    "UserCreated",
    "UserUpdated",
    "UserDeleted",
    "UserLogin",
    "UserLogout",
    "UserPasswordChanged",
    "SessionRefreshed",
    "RefreshReused",
  ],
  role: ["RoleCreated", "RoleUpdated", "RoleDeleted"],
  token: ["TokenCreated", "TokenRevoked"],
  organization: ["OrganizationCreated", "OrganizationUpdated", "OrganizationDeleted"],
  vdc: ["VDCCreated", "VDCUpdated", "VDCDeleted"],
  cluster: ["ClusterJoined", "ClusterLeft", "NodeUpdated", "NodeRemoved"],
  storage: [
    "StoragePoolCreated",
    "StoragePoolDeleted",
    "StorageVolumeCreated",
    "StorageVolumeDeleted",
  ],
  network: ["BridgeCreated", "BridgeDeleted", "InterfaceCreated", "InterfaceDeleted"],
  system: ["ConfigurationChanged", "SystemStarted", "SystemStopped", "DrillRecorded"],
  workflow: ["ProgressUpdated"],
  schedule: ["ScheduleCreated", "ScheduleUpdated", "ScheduleDeleted", "SnapshotsPruned"],
  template: ["TemplateCreated", "TemplateUpdated", "TemplateDeleted"],
  /** A request that was refused and would have changed nothing. */
  route: ["AccessDenied"],
} as const;

export type ResourceType = keyof typeof AUDIT_ACTIONS;
export type AuditAction = (typeof AUDIT_ACTIONS)[ResourceType][number];
