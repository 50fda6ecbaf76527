# Fettle. `make demo` and `make test` install what they need; see README.md.
SHELL := /bin/sh
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: demo test soak check bench format install env-example generate dr-drill failover notify retrain migrate-dry-run migrate \
	audit-dependencies package up down logs ps rebuild clean clean-all

# npm writes this file at the end of an install: it is newer than the lock exactly when node_modules is complete.
INSTALLED := node_modules/.package-lock.json
$(INSTALLED): package-lock.json
	@npm ci --silent --no-progress
	@touch $@

install: $(INSTALLED)

# Without a terminal nobody can be asked, so the demo approves its own dry run.
demo: ## install what is missing and run the main job
	@ops/timed "make demo" sh -c '$(MAKE) -s install && bin/fettle demo $(if $(shell test -t 0 && echo yes),,--yes) $(DEMO_FLAGS)'

test: ## install what the tests need and run them (T=path narrows it)
	@ops/timed "make test" sh -c '$(MAKE) -s install && ops/test/services run -- ops/test/jest $(T)'

soak: $(INSTALLED) ## the long tests: minutes of outages, the image in an engine (T=path narrows it)
	@ops/timed "make soak" ops/test/services run -- ops/test/jest --testPathIgnorePatterns=/node_modules/ --runInBand $(or $(T),test/soak)

check: $(INSTALLED) ## types, lint, format, import rules, dead code, everything under ops/
	@npm run --silent check:types
	@npm run --silent check:lint
	@npm run --silent check:format
	@npm run --silent check:imports >/dev/null || npm run --silent check:imports
	@npm run --silent check:dead
	@npm run --silent check:ops

bench: $(INSTALLED) ## measure (T=name narrows it); figures and their meaning: docs/benchmarks.md
	@for file in test/bench/$(or $(T),*).ts; do ops/test/services run -- node --expose-gc $$file || exit 1; done

format: $(INSTALLED) ## write the code in the agreed format
	@prettier --write --log-level warn .

generate: $(INSTALLED) ## write the files that programs make: Alertmanager's configuration, dashboards, manifests, graphs
	@node ops/generate.ts

dr-drill: $(INSTALLED) ## restore a backup into a scratch database, live on it, report it (docs/operations.md has the variables)
	@node ops/dr-drill.ts

failover: ## make the standby database the primary (docs/operations.md)
	@node ops/failover.ts
notify: ## tell the channels that are set NOTIFY_TEXT
	@node ops/notify.ts
retrain: ## train the detector's model on your own past (FROM=14d)
	@bin/fettle train --from $(or $(FROM),14d)
migrate-dry-run: ## what the schema lacks
	@bin/fettle migrate --dry-run
migrate: ## bring the schema up to date
	@bin/fettle migrate
audit-dependencies: ## known weaknesses of what is installed in production
	@npm audit --omit=dev --audit-level=high
package: ## the release's files: sources, and what they consist of (CycloneDX)
	@mkdir -p dist
	@npm pack --silent --pack-destination dist >/dev/null
	@npm sbom --omit=dev --sbom-format=cyclonedx > dist/sbom.cdx.json

env-example: $(INSTALLED) ## write .env.example from the tables of variables
	@node ops/env-example.ts

# Those of the profiles too, which `docker compose` alone does not see.
COMPOSE := docker compose --profile "*"
up: ## build and start everything in containers (needs Docker)
	docker compose up --build --detach
down: ## stop the containers
	$(COMPOSE) down
logs: ## follow the logs of all containers
	$(COMPOSE) logs --follow
ps: ## the state of the containers
	$(COMPOSE) ps
rebuild: ## build without the cache
	$(COMPOSE) build --no-cache
clean: ## remove what the demo made and, after asking (YES=1: without), the containers, their volumes (the database!) and what lies in sftp/
	rm -rf demo-*
	@if [ -f .env ] && command -v docker >/dev/null; then answer="$(YES)"; \
	[ -n "$$answer" ] || { printf "Remove the containers, their volumes (the database, the exports) and what lies in sftp/? [y/N] "; read -r answer || true; }; \
	case "$$answer" in y|1) $(COMPOSE) run --rm folders find /sftp -mindepth 1 -delete && $(COMPOSE) down --volumes;; *) echo kept;; esac; fi
clean-all: clean ## also remove .fettle with its keys: what was sealed by them cannot be opened any more
	rm -rf .fettle
