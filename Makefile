# Everything that a developer runs. `make` alone lists it.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)

LINT_VERSION := 2.15.0
LINT := bin/golangci-lint

# Settings: seconds per fuzz target, seeds, repeats and choice of benchmarks, and
# whether the comparison with the peers is to be short.
T     ?= 10
N     ?= 500
COUNT ?= 6
BENCH ?= .
QUICK ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test race lint fuzz sim sim-goals sim-rate model microbench bench test-bench e2e verify clean

help: ## List the targets
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

build: ## Build bin/totg
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/totg ./cmd/totg

demo: build ## Show a lossy link without and with the tunnel, on this machine
	bin/totg demo

test: ## Run all tests (some minutes)
	go test ./...

race: ## Run the tests under the race detector
	go test -race ./...

lint: $(LINT) ## Run the linter (pinned, installed into bin/ if missing) and shellcheck
	$(LINT) run ./...
	cd bench && ../$(LINT) run --config ../.golangci.yml ./...
	@if command -v shellcheck >/dev/null; then shellcheck -x .ci/run $(wildcard scripts/*.sh scripts/*/*.sh); \
	else echo 'lint: shellcheck is not installed: scripts not checked' >&2; fi

fuzz: ## Fuzz every target for T seconds (T=10)
	scripts/fuzz.sh $(T)

sim: ## Run the simulation in virtual time with N seeds (N=500)
	go test ./internal/simnet -count=1 -run TestSwarm -seeds $(N)

sim-goals: ## Measure the engine against its goals in virtual time (some minutes)
	go run ./internal/goals

sim-rate: ## Drive the rate controller through the grid of G-6 in virtual time (some minutes)
	go run ./internal/ratesim -v

model: ## Check the model of the proof ladder with Spin (needs spin and gcc)
	scripts/model.sh

microbench: ## Run Go's benchmarks, for benchstat (BENCH=regexp COUNT=6)
	go test ./... -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT)

bench: build ## Compare with the peers over lossy links: hours; QUICK=1 is minutes (bench/README.md)
	cd bench && go build -trimpath -o ../bin/bench . && ../bin/bench $(if $(QUICK),-quick -out out-quick)

test-bench: ## Test the comparison itself
	cd bench && go vet . && go test .

e2e: ## Run the end-to-end tests in network namespaces (needs root)
	go test -count=1 ./internal/e2e

verify: lint test race fuzz ## All of the checks

clean: ## Remove what was built
	rm -rf bin

# The linter of the right version is used where the machine has it; else it is
# built into bin/. A file per version makes a new pin take effect.
$(LINT): bin/.golangci-lint-$(LINT_VERSION)
bin/.golangci-lint-$(LINT_VERSION):
	@mkdir -p bin && rm -f $(LINT)
	@if golangci-lint version 2>/dev/null | grep -q 'version $(LINT_VERSION) '; \
	then ln -s "$$(command -v golangci-lint)" $(LINT); \
	else GOBIN='$(CURDIR)/bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION); fi
	@touch $@
