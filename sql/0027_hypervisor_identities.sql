-- Up Migration

-- Which account at an identity provider somebody is: its issuer and `sub`, whatever it is called there by now.
ALTER TABLE hypervisor_users
  ADD COLUMN oidc_issuer  text,
  ADD COLUMN oidc_subject text,
  ADD CONSTRAINT hypervisor_users_oidc_whole CHECK ((oidc_issuer IS NULL) = (oidc_subject IS NULL));
CREATE UNIQUE INDEX hypervisor_users_by_oidc ON hypervisor_users (oidc_issuer, oidc_subject);

-- A session that began on the sign-in page is known by a cookie, of which only the hash is kept.
ALTER TABLE hypervisor_sessions ADD COLUMN cookie_hash text COLLATE "C" UNIQUE;
