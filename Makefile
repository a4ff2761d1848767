# The commands of this project; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET := $(or $(CARGO_TARGET_DIR),target)
SCENARIO ?= main
FUZZ ?= access cirun config labels webhook
SECONDS ?= 60
SEEDS ?= 100000
SCENARIOS := main cap cirun fair fork idle inline interruption lifetime lost-webhook matrix no-capacity partition quota
FUNCTIONS := webhook launch checkin job-events sweeper interruption reporter dashboard
AGENT_TARGETS := x86_64-unknown-linux-musl aarch64-unknown-linux-musl
BUILD_PATH := $(CURDIR)/.tools/build/bin:$(PATH)

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ------------------------------------------------------------------- the lab

.PHONY: demo
demo: ## Walk a job from webhook to gone [SCENARIO=main|cap|cirun|fair|fork|idle|inline|interruption|lifetime|lost-webhook|matrix|no-capacity|partition|quota]
	@[[ " $(SCENARIOS) " == *" $(SCENARIO) "* ]] || \
	  { echo "there is no scenario \`$(SCENARIO)\`: it is one of $(SCENARIOS)" >&2; exit 2; }
	@tools/prerequisites demo
	@tools/install lab schemas
	@cargo build --workspace --bins
	@$(TARGET)/debug/dayfly-lab demo $(SCENARIO)

.PHONY: lab
lab: ## Leave the lab running and say how to send it a webhook
	@tools/prerequisites demo
	@tools/install lab schemas
	@cargo build --workspace --bins
	@$(TARGET)/debug/dayfly-lab up

# -------------------------------------------------------------------- checks

.PHONY: test
test: ## All checks and tests
	@tools/prerequisites test
	@tools/install lab schemas check
	cargo fmt --all --check
	@$(MAKE) check-infra
	cargo clippy --workspace --all-targets --locked -- -D warnings
	# The lab's tests run the other crates' binaries, so all targets come first. The features are those of
	# `make demo`, whose build this goes on from: tests/house holds that.
	cargo build --workspace --all-targets --locked
	cargo test --workspace --locked
	@$(MAKE) check-deny
	@tools/prerequisites left-out

.PHONY: check-infra
check-infra: ## The template, its user data and the shell scripts
	@tools/install check
	tools/check-infra

.PHONY: check-deny
check-deny: ## Licences, sources and known vulnerabilities of the dependencies
	@tools/install deny
	tools/check-deny

.PHONY: lint
lint: ## Formatting and lints only
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: fmt
fmt: ## Format the code, and put user-data.sh and dashboard.json into the template
	cargo fmt --all
	infra/inline-user-data
	infra/inline-dashboard

.PHONY: docs
docs: ## Make the generated pages: lifecycle, metrics, command, costs, configuration and its schema, the check run's picture
	@mkdir -p docs schema
	cargo run --quiet -p dayfly-records --example lifecycle >docs/lifecycle.md
	cargo run --quiet -p dayfly-report --example picture >docs/no-capacity.svg
	cargo run --quiet -p dayfly-metrics --example metrics >docs/metrics.md
	cargo run --quiet -p dayfly-cli --example help >docs/cli.md
	@tools/install check
	.tools/check/bin/python -B infra/costs
	cargo run --quiet -p dayfly-config --features schema --example schema >schema/dayfly.schema.json
	cargo run --quiet -p dayfly-config --features schema --example schema docs >docs/configuration.md

.PHONY: pictures
pictures: ## Take the pictures of the board and the dashboard, with Chromium
	tools/board-pictures
	tools/dashboard-picture

.PHONY: bench
bench: ## Start-up, latency, memory and size of every function, and launches of many, beside goals and peer
	@tools/prerequisites bench
	cargo build --release $(FUNCTIONS:%=-p dayfly-%) -p dayfly-bench --bins
	@$(TARGET)/release/dayfly-bench
	cargo run --release --quiet -p dayfly-config --example reading

.PHONY: soak
soak: ## Run histories that were never run, and keep the seeds that break a promise [SEEDS=100000 MINUTES=]
	@cargo run --profile soak --quiet -p simulation -- --soak --seeds $(SEEDS) $(MINUTES:%=--minutes %)

# The corpus is where it begins, and what the tests run; other inputs that it tries stay in the target folder. The
# sanitizer's checks are for `unsafe` code, of which there is none; without it the stable compiler suffices.
.PHONY: fuzz
fuzz: ## Look for inputs that break something [FUZZ=access|cirun|config|labels|webhook SECONDS=60]
	@tools/install fuzz
	@for target in $(FUZZ); do \
	  mkdir -p $(TARGET)/fuzz/corpus/$$target; \
	  .tools/cargo/bin/cargo-fuzz run --fuzz-dir tests/fuzz/libfuzzer --sanitizer none \
	    --target-dir $(TARGET)/fuzz $$target $(TARGET)/fuzz/corpus/$$target tests/fuzz/corpus/$$target -- \
	    -max_total_time=$(SECONDS) -timeout=5 -print_final_stats=1; \
	done

# -------------------------------------------------------------------- builds

.PHONY: agent
agent: ## The static agent for both architectures, and the template's parameters for it
	@tools/prerequisites build
	@tools/install build
	@for target in $(AGENT_TARGETS); do \
	  rustup target list --installed | grep --quiet --line-regexp $$target || rustup target add $$target; \
	  PATH="$(BUILD_PATH)" cargo zigbuild --release --locked -p dayfly-agent --target $$target; \
	done
	@for target in $(AGENT_TARGETS); do \
	  echo "$(TARGET)/$$target/release/dayfly-agent"; \
	  case $$target in x86_64*) name=AgentSha256X8664;; *) name=AgentSha256Arm64;; esac; \
	  echo "  $$name=$$(sha256sum <$(TARGET)/$$target/release/dayfly-agent | cut -d ' ' -f 1)"; \
	done

.PHONY: functions
functions: ## Every function for Lambda (arm64), as `sam build` builds them
	@tools/prerequisites build
	@tools/install build
	PATH="$(BUILD_PATH)" cargo lambda build --release --arm64 --locked $(FUNCTIONS:%=-p dayfly-%)

.PHONY: tools
tools: ## Install every tool under .tools/
	@tools/prerequisites test
	@tools/install lab schemas check build deny

.PHONY: clean-tools
clean-tools: ## Remove .tools/
	rm -rf .tools
