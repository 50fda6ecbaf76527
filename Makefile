# Fettle. `make demo` and `make test` install what they need; see README.md.
SHELL := /bin/sh
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
JEST := node --experimental-vm-modules --disable-warning=ExperimentalWarning node_modules/jest/bin/jest.js

.PHONY: demo test check format install

# npm writes this file at the end of an install: it is newer than the lock exactly when node_modules is complete.
INSTALLED := node_modules/.package-lock.json
$(INSTALLED): package-lock.json
	@npm ci --silent --no-progress
	@touch $@

install: $(INSTALLED)

demo: ## install what is missing and run the main job
	@ops/timed "make demo" sh -c '$(MAKE) -s install && bin/fettle demo $(DEMO_FLAGS)'

test: ## install what the tests need and run them (T=path narrows it)
	@ops/timed "make test" sh -c '$(MAKE) -s install && ops/test/services run -- $(JEST) $(T)'

check: $(INSTALLED) ## types, lint, format, import rules, dead code
	@npm run --silent check:types
	@npm run --silent check:lint
	@npm run --silent check:format
	@npm run --silent check:imports >/dev/null || npm run --silent check:imports
	@npm run --silent check:dead

format: $(INSTALLED) ## write the code in the agreed format
	@prettier --write --log-level warn .
