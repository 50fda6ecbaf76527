-- Up Migration

-- From where somebody has signed in lately: guesses from elsewhere do not keep them out there.
CREATE TABLE hypervisor_login_addresses (
  username text COLLATE "C" NOT NULL REFERENCES hypervisor_users (username) ON DELETE CASCADE,
  address  text        NOT NULL, -- of IPv6 the first 64 bits
  seen_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (username, address)
);
CREATE INDEX hypervisor_login_addresses_by_age ON hypervisor_login_addresses (seen_at);
