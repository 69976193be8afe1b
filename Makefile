# Each target installs what is missing (xtask/setup) and runs the task runner (xtask).
# ARGS are passed on: make e2e ARGS='-- --headed'.

with  = @sh xtask/setup/with.sh
drive = -- sh xtask/setup/drive.sh

.PHONY: help run test nightly e2e build bench report lint audit fmt clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: ## Start the app and an offline Stripe on SQLite; needs no account and no keys
	$(with) rust $(drive) run $(ARGS)

test: ## Run all tests: unit, store on both databases, HTTP, guides, API description, browser
	$(with) rust postgres chromium node schemathesis curl $(drive) test $(ARGS)

nightly: ## Kill nodes, send a million random inputs, run thousands of random histories (a few hours)
	$(with) rust postgres $(drive) nightly $(ARGS)

e2e: ## Run only the browser tests
	$(with) rust postgres chromium node $(drive) test e2e $(ARGS)

build: ## Build the production binary with everything embedded, in target/release
	$(with) rust $(drive) build $(ARGS)

bench: ## Benchmark the release binary against a minimal handler; writes docs/BENCHMARK.md
	$(with) rust postgres $(drive) bench $(ARGS)

report: ## Measure how many bytes the first load of each page transfers
	$(with) rust $(drive) report $(ARGS)

lint: ## Run the static checks: formatting, imports, wording, clippy, dependencies
	$(with) rust node typos deny $(drive) lint $(ARGS)

audit: ## Check dependencies for known vulnerabilities; needs a connection
	$(with) rust node deny $(drive) audit $(ARGS)

fmt: ## Format the code
	$(with) rust -- sh -c '"$${CARGO_FMT:-$$CARGO}" fmt --all'

clean: ## Delete build results, but not data/ or the toolchain cache
	$(with) rust -- sh -c '"$$CARGO" clean'
	rm -rf end2end/node_modules xtask/prose/node_modules end2end/test-results end2end/playwright-report
