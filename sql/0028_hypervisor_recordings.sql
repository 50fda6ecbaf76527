-- Up Migration

-- A terminal's recording is found by the session that its audit rows name.
CREATE INDEX runbooks_audit_by_terminal ON runbooks_audit ((detail -> 'facts' ->> 'session'), id)
  WHERE event IN ('TerminalOpened', 'TerminalClosed');
