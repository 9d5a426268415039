# The ways to build, try and check PresenceMesh. `make` alone lists them.

SWIFT ?= swift
# Flags for every build and test, e.g. SWIFTFLAGS="-Xswiftc -warnings-as-errors".
SWIFTFLAGS ?=
# More arguments for `make bench` and `make simulate`, e.g. ARGS="--nodes 16 --json".
ARGS ?=

PRESENCE := .build/release/presence
DOCS := .build/docs
FORMATTED := Package.swift Sources Peers Tests

.DEFAULT_GOAL := help
.PHONY: help setup build demo test bench simulate format lint docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install libsodium where it is missing
	@.ci/setup

build: setup ## build the command-line peer, optimised, as .build/release/presence
	$(SWIFT) build -c release --product presence $(SWIFTFLAGS)

demo: build ## three nodes on this machine: converge, cut one off, heal
	Peers/demo

test: setup ## run all tests
	$(SWIFT) test $(SWIFTFLAGS)

bench: build ## measure, and print the figures (ARGS: more arguments)
	$(PRESENCE) bench $(ARGS)

simulate: build ## replay 1,000 simulated meshes from their seeds (ARGS: more arguments)
	$(PRESENCE) simulate --seeds 1000 $(ARGS)

format: ## rewrite the Swift sources in the house format
	$(SWIFT) format -i -r -p $(FORMATTED)

lint: ## check the format without rewriting
	$(SWIFT) format lint --strict -r -p $(FORMATTED)

docs: setup ## build the documentation of the library into .build/docs
	@mkdir -p $(DOCS)
	$(SWIFT) package $(SWIFTFLAGS) --allow-writing-to-directory $(DOCS) \
	  generate-documentation --target PresenceMesh --output-path $(DOCS) --warnings-as-errors

clean: ## remove what was built; fetched dependencies stay
	$(SWIFT) package clean
	rm -rf $(DOCS)
