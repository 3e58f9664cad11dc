# What people and .ci/run call. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools build test lint race soak bench microbench fuzz demo demo-split clients peers clean

# The same settings for every command, so that all share one build cache. -trimpath also makes
# it independent of where the clone lies; the version is stamped by -X, not from git.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(GOFLAGS) -trimpath -buildvcs=false -tags=grpcnotrace)

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PKG     ?= ./...
TIMEOUT ?= 20m

peers   := GOFLAGS=-buildvcs=false go -C tools run ./peers
summary := GOFLAGS=-buildvcs=false go -C tools run ./summary

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

tools: ## install the pinned peers (Envoy, registry, crane, linters ...) into a cache outside the clone
	@$(peers) install

build: ## one static binary: bin/pullgate
	go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/pullgate ./cmd/pullgate

test: tools lint ## everything that must hold before a commit lands: lint, then all tests with real peers
	@echo 'go test ./... in tools'
	@cd tools && GOFLAGS= go vet ./... && GOFLAGS= go test ./...
	@echo 'go test $(PKG)'
	@go test -json -timeout $(TIMEOUT) $(PKG) | $(summary)

lint: ## formatting, vet, staticcheck, tidy go.mod
	@$(peers) install gofumpt staticcheck
	@echo gofumpt
	@files=$$("$$($(peers) path gofumpt)" -l .); if [ -n "$$files" ]; then echo "not formatted (run gofumpt -w):"; echo "$$files"; exit 1; fi
	@echo go vet
	@go vet ./...
	@echo staticcheck
	@"$$($(peers) path staticcheck)" ./...
	@echo go mod tidy
	@go mod tidy -diff

race: ## all tests with the race detector (needs a C compiler)
	@$(peers) install
	@CGO_ENABLED=1 go test -race -json -timeout 30m $(PKG) | $(summary)

bench: build ## every figure of docs/benchmarks.md, beside its budget, into that page; some twenty-five minutes (ARGS="--parts served --rounds 2", ARGS=--check fails by what is missed, ARGS=--help)
	@$(peers) install envoy opa redis registry crane
	@mkdir -p .bench
	@go build -o .bench/bench ./examples/bench
	@.bench/bench --write docs/benchmarks.md $(ARGS)

BENCH ?= .
COUNT ?= 6
microbench: ## Go benchmarks, COUNT runs each, as benchstat prints them: BENCH=regexp PKG=packages
	@$(peers) install benchstat
	@mkdir -p .bench
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 60m $(PKG) | tee .bench/latest.txt
	@"$$($(peers) path benchstat)" .bench/latest.txt

DURATION ?= 1h
soak: build ## pullgate for an hour under load, while bundles change, Redis goes and returns: no wrong answer, nothing grows (DURATION=10m ARGS="--rate 1000")
	@$(peers) install redis
	@go run ./examples/soak --duration $(DURATION) $(ARGS)

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]*:func | |' | sort | while read -r dir target; do \
		echo "$$dir $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir"; \
	done

demo: build ## real registry, real Envoy, real clients on this machine; KEEP=1 leaves it running
	@$(peers) install envoy registry crane
	@KEEP='$(KEEP)' go run ./examples/demo

demo-split: build ## publisher with PostgreSQL, two sidecars, Redis, real Envoys; KEEP=1 leaves it running
	@$(peers) install envoy registry crane postgres redis
	@KEEP='$(KEEP)' go run ./examples/split

clients: build ## the client matrix: every client × registry × case, as a table; CLIENTS="crane helm" these alone, COSIGN=1 cosign too
	@go run ./examples/clients $(CLIENTS)

peers: ## list the pinned peers: name, version, where they are
	@$(peers) list

clean: ## remove what was built here; the peers stay in their cache
	rm -rf bin .bench
