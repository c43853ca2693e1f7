# Weft. `make demo` runs the main job, `make test` passes the tests; both install what they need inside the project first.
export PATH := $(CURDIR)/.tools/bin:$(CURDIR)/node_modules/.bin:$(PATH)
.PHONY: setup build demo demo-kubernetes cluster images test faults check bench clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@scripts/setup.sh

build: setup ## compile src/ to dist/, and bundle it for a fast start
	@tsc -b
	@[ dist/bundle/main.js -nt dist/.tsbuildinfo ] || node scripts/bundle.mjs

demo: build ## control plane, two services behind real Envoys, mTLS with rotation; Ctrl-C leaves nothing
	@node dist/bin/weft.js up

demo-kubernetes: build ## the same with real Pods and certificates from cert-manager, on a cluster of its own (root on Linux) or the one of KUBECONFIG
	@[ -n "$$KUBECONFIG" ] || scripts/setup.sh cluster
	@node tests/cluster/demo/main.ts

cluster: setup ## a real Kubernetes with cert-manager on this machine until Ctrl-C; LEVEL=node (with Pods: root on Linux) or LEVEL=api
	@scripts/setup.sh cluster
	@node tests/cluster/main.ts $(LEVEL)

images: build ## the control plane's and the proxy's image as OCI archives in dist/images, without a container engine
	@node scripts/images.mjs

check: build ## types, lint, import rules, dead code
	@tsc -p tsconfig.tests.json
	@biome check --error-on-warnings .
	@depcruise --config .dependency-cruiser.mjs --exclude '^dist/bundle' dist
	@knip --no-progress

test: ## everything: checks, unit, integration and end-to-end tests
	@scripts/setup.sh neighbours
	@$(MAKE) --no-print-directory check
	@vitest run

faults: build ## the fault matrix as a table, see docs/reliability.md; ROWS="F4 S5" runs these rows only
	@scripts/setup.sh neighbours
	@node tests/faults/main.ts $(ROWS)

bench: build ## benchmarks; PEER=/path/to/kuma-cp runs the same load on that program
	@node tests/bench/main.ts

clean: ## remove what was built and installed
	rm -rf dist node_modules .tools protos/gen protos/dist tests/bench/out
