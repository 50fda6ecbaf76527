-- Up Migration

-- Names are what people type and what stands in the audit log: lower case, never reused by the API while they are there.
CREATE TABLE hypervisor_organizations (
  id          text COLLATE "C" PRIMARY KEY,
  name        text        NOT NULL,
  description text        NOT NULL DEFAULT '',
  enabled     boolean     NOT NULL DEFAULT true,
  quota       jsonb       NOT NULL DEFAULT '{}', -- cpu, memory_mb, storage_gb, containers; an absent one has no limit
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);

-- A virtual data centre is a project of the backend with a quota; a project belongs to one organization.
CREATE TABLE hypervisor_vdcs (
  id              text COLLATE "C" PRIMARY KEY,
  organization_id text COLLATE "C" NOT NULL REFERENCES hypervisor_organizations (id),
  name            text        NOT NULL,
  description     text        NOT NULL DEFAULT '',
  project         text        NOT NULL UNIQUE,
  quota           jsonb       NOT NULL DEFAULT '{}',
  version         bigint      NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hypervisor_vdcs_by_organization ON hypervisor_vdcs (organization_id, id);

-- Roles that people have made; the built-in ones are in the program.
CREATE TABLE hypervisor_roles (
  name        text COLLATE "C" PRIMARY KEY,
  description text        NOT NULL DEFAULT '',
  permissions text[]      NOT NULL,
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE hypervisor_users (
  username        text COLLATE "C" PRIMARY KEY,
  email           text        NOT NULL DEFAULT '',
  role            text        NOT NULL,
  permissions     text[]      NOT NULL DEFAULT '{}', -- of the role Custom
  organization_id text COLLATE "C" REFERENCES hypervisor_organizations (id),
  enabled         boolean     NOT NULL DEFAULT true,
  default_admin   boolean     NOT NULL DEFAULT false,
  password_hash   text,                             -- NULL: signs in by OIDC or a token only
  must_change     boolean     NOT NULL DEFAULT false, -- may do nothing but change the password
  token_version   bigint      NOT NULL DEFAULT 1,   -- access tokens of an older one are dead
  version         bigint      NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  last_login_at   timestamptz
);
CREATE UNIQUE INDEX hypervisor_users_default_admin ON hypervisor_users (default_admin) WHERE default_admin;
CREATE INDEX hypervisor_users_by_organization ON hypervisor_users (organization_id, username);

-- A login, and all that was refreshed from it. Access tokens name it, so that its end is theirs.
CREATE TABLE hypervisor_sessions (
  id         text COLLATE "C" PRIMARY KEY,
  username   text COLLATE "C" NOT NULL REFERENCES hypervisor_users (username) ON DELETE CASCADE,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ended_at   timestamptz,
  ended_by   text -- logout, reuse, password, admin
);
CREATE INDEX hypervisor_sessions_by_user ON hypervisor_sessions (username);
CREATE INDEX hypervisor_sessions_by_end ON hypervisor_sessions (expires_at);

-- Each is used once; a second use ends the session. Only hashes are kept.
CREATE TABLE hypervisor_refresh_tokens (
  hash       text COLLATE "C" PRIMARY KEY,
  session_id text COLLATE "C" NOT NULL REFERENCES hypervisor_sessions (id) ON DELETE CASCADE,
  client     text        NOT NULL, -- SHA-256 of who may get the successor again when the answer was lost
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at    timestamptz
);
CREATE INDEX hypervisor_refresh_tokens_by_session ON hypervisor_refresh_tokens (session_id);

CREATE TABLE hypervisor_api_tokens (
  id           text COLLATE "C" PRIMARY KEY,
  hash         text COLLATE "C" NOT NULL UNIQUE,
  owner        text COLLATE "C" NOT NULL REFERENCES hypervisor_users (username) ON DELETE CASCADE,
  name         text        NOT NULL,
  permissions  text[]      NOT NULL, -- of these, what the owner has as well
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
CREATE INDEX hypervisor_api_tokens_by_owner ON hypervisor_api_tokens (owner, id);

-- Keys that sign access tokens (Ed25519, PKCS#8 PEM); empty when a file has the key.
CREATE TABLE hypervisor_signing_keys (
  kid         text PRIMARY KEY,
  private_pem text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- Logins that failed, by account and by address, in the window that began at `since`.
CREATE TABLE hypervisor_login_failures (
  subject  text PRIMARY KEY, -- user:<name>, ip:<address>
  since    timestamptz NOT NULL,
  failures integer     NOT NULL
);

-- Answers by Idempotency-Key.
CREATE TABLE hypervisor_requests (
  principal   text        NOT NULL,
  key         text        NOT NULL,
  fingerprint text        NOT NULL, -- SHA-256 of method, address and body
  state       text        NOT NULL CHECK (state IN ('running', 'answered', 'unknown')),
  status      integer,
  headers     jsonb,
  body        text,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (principal, key)
);
CREATE INDEX hypervisor_requests_by_age ON hypervisor_requests (created_at);

-- The last time that a recovery drill ended well.
CREATE TABLE hypervisor_drills (
  only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  ended_at   timestamptz NOT NULL
);

-- What the audit log is looked through by, page by page from the newest.
CREATE INDEX runbooks_audit_by_kind ON runbooks_audit ((coalesce(nullif(split_part(target, '/', 3), ''), 'run')), id);
CREATE INDEX runbooks_audit_by_organization ON runbooks_audit (namespace, id) WHERE detail ? 'resource_type';
