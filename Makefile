# The commands of everyday work. `make help` lists them.

BIN      := bin/coterie
VERSION  ?=
LDFLAGS  := $(if $(VERSION),-X coterie/internal/version.release=$(VERSION))
FUZZTIME ?= 10s
ARGS     ?=
SEED     ?=

.PHONY: help build check test race sim fuzz bench chaos demo docs clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build: ## build bin/coterie (VERSION=1.2.3 names a release)
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/coterie

check: ## formatting, go vet, staticcheck
	@scripts/check

test: ## every test
	go test -timeout 10m ./...

race: ## every test under the race detector
	go test -race -timeout 30m ./...

sim: ## simulated clusters under faults: make sim SEED=7, or ARGS="--for 10m"
	go run ./cmd/coterie-sim $(if $(SEED),--seed $(SEED)) $(if $(SEED)$(ARGS),,--seeds 500) $(ARGS)

fuzz: ## every fuzz target for FUZZTIME each (10s)
	@scripts/fuzz $(FUZZTIME)

bench: build ## measure a running server: make bench ARGS="--addr 127.0.0.1:7001"
	$(BIN) bench $(ARGS)

chaos: build ## faults on real processes: make chaos ARGS="--for 10m"
	$(BIN) chaos $(ARGS)

demo: build ## three nodes on this machine
	@$(BIN) demo $(ARGS)

docs: build ## write the generated pages anew
	$(BIN) config docs > docs/configuration.md

clean: ## remove what was built
	rm -rf bin
