# The doors of this repository. Each target installs what it needs on Debian, and says so.

.PHONY: demo test netns check page bench bench-docs flaky floods instructions baseline soak fuzz tools valgrind programs iproute

# A relay and an agent in one process, with a built-in origin: prints a URL for curl.
demo: tools
	cargo build --locked --bin agent
	target/debug/agent --echo --relay local

# Every test: units, both ends in one process, the built programs driven by others, and, where network namespaces can be
# made, the programs in those.
test: tools programs iproute
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --doc --quiet
	@if [ -n "$(NETNS)" ]; \
	then cargo test --locked -p adit-tests $(NETNS) --no-fail-fast; \
	else echo "==> NOT RUN: the tests in network namespaces, which need Linux and root"; fi
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --locked --workspace --lib --bins --tests --no-fail-fast; \
	else cargo test --locked --workspace --lib --bins --tests --no-fail-fast; fi

NETNS = $(shell unshare --net --mount true 2>/dev/null && echo --test netns)

# The built programs in network namespaces, whose addresses, routes and filters change under them. Fails without root.
netns: tools iproute
	cargo build --locked -p adit-relay -p adit-agent --bins
	cargo test --locked -p adit-tests --test netns --no-fail-fast

# What must hold before the tests are worth running: format, lints, documentation, dependencies, the inspector's page.
check: tools
	.ci/run check

# The inspector's page anew, after a change of its sources in agent/ui.
page:
	npm ci --prefix agent/ui --ignore-scripts --no-audit --no-fund
	npm run --silent --prefix agent/ui build

# Relay and agent are built by themselves, as they are shipped: a build together with the benches would give them features
# that they do without.
# Relay and agent beside other ways to do the same, in under five minutes: ratios, verdicts, figures.
# BENCH takes further arguments, such as BENCH='--only requests --rathole /usr/local/bin/rathole'.
bench: tools
	cargo build --release --locked -p adit-benches --bins
	cargo build --release --locked -p adit-relay -p adit-agent --bins
	target/release/bench $(BENCH)

# The same, and its tables and plots in docs/benchmarks.md.
bench-docs: tools
	cargo build --release --locked -p adit-benches --bins
	cargo build --release --locked -p adit-relay -p adit-agent --bins
	target/release/bench --docs docs $(BENCH)

# What becomes of requests when the network between agent and relay fails, in about ten minutes: docs/flaky-networks.md.
# FLAKY takes further arguments, such as FLAKY='--only cuts'.
flaky: tools
	cargo build --release --locked -p adit-benches --bins
	cargo build --release --locked -p adit-relay -p adit-agent --bins
	target/release/bench flaky $(FLAKY)

# What becomes of everybody else's requests while somebody floods the relay, in about an hour: docs/floods.md.
# FLOODS takes further arguments, such as FLOODS='--only resets --seconds 5'.
floods: tools
	cargo build --release --locked -p adit-benches --bins
	cargo build --release --locked -p adit-relay -p adit-agent --bins
	target/release/bench floods $(FLOODS)

# Instructions of heads, frames and whole exchanges, counted under valgrind: fails above the baseline that is kept in
# benches/micro/baseline.json. INSTRUCTIONS='exchange' counts only the cases so named.
instructions: tools valgrind
	cargo bench --locked --profile instructions -p adit-micro --bench instructions -- --check $(INSTRUCTIONS)

# What is counted now becomes the baseline. Commit it with the change that it is due to.
baseline: tools valgrind
	cargo bench --locked --profile instructions -p adit-micro --bench instructions -- --accept

# Tests that take long: faults for half a minute, ten thousand random schedules of them (a failure prints its seed). Then
# the large transfers again and again, for an hour.
soak: tools programs
	cargo build --locked --release --workspace --bins
	cargo test --locked --release -p adit-tests --test world -- --ignored
	cargo test --locked --release -p adit-relay --lib queue:: -- --ignored --test-threads 1
	cargo test --locked --release -p adit-tests --test programs -- --ignored
	timeout 3600 sh -c 'while cargo test --locked --release --test programs transfers; do :; done' \
	  || test $$? -eq 124

# Every decoder with random input, FUZZ_SECONDS each, FUZZ=NAMES for some of them; shared/fuzz/README.md says more.
# What is found is kept beside what is built, so that the inputs in the repository stay few.
FUZZ_SECONDS ?= 60
FUZZ ?= $(basename $(notdir $(wildcard shared/fuzz/fuzz_targets/*.rs)))
fuzz: tools
	@cargo +nightly fuzz --version || { \
	  echo "fuzzing needs: rustup toolchain install nightly; cargo install cargo-fuzz --locked"; exit 1; }
	cd shared/fuzz && for target in $(FUZZ); do \
	  mkdir -p "target/corpus/$$target"; \
	  cargo +nightly fuzz run "$$target" "target/corpus/$$target" "corpus/$$target" -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=1024 || exit 1; done

# aws-lc and SQLite are C.
tools:
	@command -v cc >/dev/null || { \
	  echo "installing a C compiler (Debian: gcc, libc6-dev)"; \
	  if [ "$$(id -u)" = 0 ]; then root=; else root=sudo; fi; \
	  $$root apt-get update -q && $$root apt-get install -q -y --no-install-recommends gcc libc6-dev; }

iproute:
	@[ "$$(uname)" != Linux ] || command -v ip >/dev/null || { \
	  echo "installing ip (Debian: iproute2)"; \
	  if [ "$$(id -u)" = 0 ]; then root=; else root=sudo; fi; \
	  $$root apt-get update -q && $$root apt-get install -q -y --no-install-recommends iproute2; }

valgrind:
	@command -v valgrind >/dev/null || { \
	  echo "installing valgrind (Debian: valgrind)"; \
	  if [ "$$(id -u)" = 0 ]; then root=; else root=sudo; fi; \
	  $$root apt-get update -q && $$root apt-get install -q -y --no-install-recommends valgrind; }

# Node, Python, Chromium and their packages, which the tests drive the programs with.
programs:
	tests/programs/setup
