# Every target installs what it needs and is missing (xtask/setup), and then hands
# over to the build driver (xtask). ARGS are passed on: make e2e ARGS='-- --headed'.

with  = @sh xtask/setup/with.sh
drive = -- sh xtask/setup/drive.sh

.PHONY: help run test nightly e2e build bench report lint fmt clean
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: ## Start the app and an offline Stripe on SQLite; needs no account and no keys
	$(with) rust $(drive) run $(ARGS)

test: ## Run all tests: rules, store on both engines, HTTP, the API against its description, browser
	$(with) rust postgres chromium node schemathesis $(drive) test $(ARGS)

nightly: ## Tell thousands of random histories of events, on both engines (an hour or so)
	$(with) rust postgres $(drive) nightly $(ARGS)

e2e: ## Run the browser tests alone
	$(with) rust postgres chromium node $(drive) test e2e $(ARGS)

build: ## Leave one production binary in target/release, everything inside
	$(with) rust $(drive) build $(ARGS)

bench: ## Measure the release binary beside a bare handler; writes docs/BENCHMARK.md
	$(with) rust postgres $(drive) bench $(ARGS)

report: ## Weigh the first load of every page over the wire
	$(with) rust $(drive) report $(ARGS)

lint: ## Check formatting, lints on both sides, and dependencies
	$(with) rust $(drive) lint $(ARGS)

fmt: ## Format the code
	$(with) rust -- sh -c '"$${CARGO_FMT:-$$CARGO}" fmt --all'

clean: ## Delete what was built here; data/ and the toolchain's cache stay
	$(with) rust -- sh -c '"$$CARGO" clean'
	rm -rf end2end/node_modules end2end/test-results end2end/playwright-report
