# The ways to build, try and check PresenceMesh. `make` alone lists them.

SWIFT ?= swift
# Flags for every build and test, e.g. SWIFTFLAGS="-Xswiftc -warnings-as-errors".
SWIFTFLAGS ?=
# More arguments for `make bench`, `make measure` and `make simulate`, e.g. ARGS="--nodes 16 --json".
ARGS ?=

PRESENCE := .build/release/presence
DOCS := .build/docs
FORMATTED := Package.swift Sources Peers Tests

.DEFAULT_GOAL := help
.PHONY: help setup clients build demo test bench gateway-bench measure simulate format lint docs sbom versions fuzz test-sanitized clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## install libsodium where it is missing
	@.ci/setup

clients: setup ## install the clients and the browser that the gateway is tested with (Debian, PyPI)
	@if command -v apt-get >/dev/null; then Tests/GatewayTests/Clients/setup.sh; else \
	  echo "clients: no apt-get here: the tests with existing clients are left out"; fi

build: setup ## build the command-line peer, optimised, as .build/release/presence
	$(SWIFT) build -c release --product presence $(SWIFTFLAGS)

demo: build ## three nodes on this machine, each with its page: converge, cut one off, heal
	Peers/demo

test: setup clients ## run all tests
	@SWIFT="$(SWIFT)" .ci/test $(SWIFTFLAGS)

test-sanitized: setup clients ## run tests under the thread and address sanitizers (ARGS: "thread" or "address")
	@SWIFT="$(SWIFT)" SWIFTFLAGS="$(SWIFTFLAGS)" Tests/Sanitizers/run $(ARGS)

fuzz: setup ## fuzz what others can send: three minutes each target (ARGS: a target or "all", and seconds)
	@SWIFT="$(SWIFT)" SWIFTFLAGS="$(SWIFTFLAGS)" Tests/Fuzz/run $(ARGS)

# Beside serf and y-protocols where they are: apt-get install serf nodejs node-y-protocols node-yjs
bench: build ## measure, and print the figures: about five minutes (ARGS: more arguments)
	$(SWIFT) build -c release --product allocations $(SWIFTFLAGS)
	$(PRESENCE) bench $(ARGS)

gateway-bench: build clients ## measure the gateway, beside the y-websocket server
	Peers/gateway-bench --presence $(PRESENCE) $(ARGS)

measure: build ## measure a big simulated mesh (ARGS: more arguments, e.g. "--nodes 1000 --loss 25")
	$(PRESENCE) measure $(ARGS)

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

versions: ## check that the packages are those of .ci/versions
	@SWIFT="$(SWIFT)" .ci/check-versions

sbom: setup ## write the list of what this is made of (SPDX 2.3) to .build/sbom.spdx.json
	@mkdir -p .build
	SWIFT="$(SWIFT)" .ci/sbom .build/sbom.spdx.json

clean: ## remove what was built; fetched dependencies stay
	$(SWIFT) package clean
	rm -rf $(DOCS)
