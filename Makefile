# `make test` and `make demo` need Python 3.11 or later and nothing else: each target makes the
# environment that it needs from a locked, hashed list in requirements/ and keeps it.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c $(IS_NEW_ENOUGH) 2>/dev/null && echo $$python && break; done)
IS_NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11))'

# CI runs `make prepare` beside the first checks. These use what it downloads and builds.
PREPARED := proto-check container-check floors conformance page-check test-page test-front front-deny
CHECKS := test-slow lint types imports blocking-check docs-check wheel-check mutations chaos demo bench-guard test-postgres $(PREPARED)
# CI runs this check too. It is not in CHECKS, because its libraries take 6 GB.
HEAVY_CHECKS := test-integrations
GENERATED := client/python/podium/v1
SERVICES := $(wildcard proto/podium/v1/*_service.proto)
PROTOS := $(wildcard proto/podium/v1/*.proto)
RELEASED := proto/released/podium.v1.binpb
BIN := .venv/bin
# Without bytecode on disk each worker of pytest, and each process that a test starts, compiles Podium.
unexport PYTHONDONTWRITEBYTECODE
# Some tests wait for processes. Each worker takes 3 seconds of CPU to collect all tests.
AT_ONCE := --numprocesses=3 --dist=worksteal
# Tests of crashes, documents, the project and conformance use no library in a way that other tests do not.
# test_framing.py expects the error texts of the newest gRPC, which differ in older versions.
FLOOR_TESTS := $(foreach place,crash conformance docs project server/rpc/test_framing.py,--ignore=tests/$(place))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# ---- Environments ------------------------------------------------------------

# uv installs an environment in seconds, and pip in a minute. uv stores each file once: environments consist of hard
# links into its cache. The environment .venv has uv, for all others.
UV = UV_CACHE_DIR=$(CURDIR)/.cache/uv UV_HTTP_TIMEOUT=120 UV_HTTP_RETRIES=5 $(BIN)/uv
PIP_OPTIONS := --quiet --disable-pip-version-check --retries 10

# $(call venv,FOLDER,LOCK) makes a fresh environment for what LOCK lists.
define venv
@$(or $(PYTHON),false) -c $(IS_NEW_ENOUGH) 2>/dev/null || { echo "Podium needs Python 3.11 or later. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
@echo "Preparing $(1) from $(2) …"
@$(PYTHON) -m venv --clear $(1) || { echo "Python cannot make environments here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
endef

QUIET := --quiet
# $(call install,FOLDER,ARGUMENTS) installs packages into an environment, with pip if uv fails: pip knows other settings.
install = @$(UV) pip install $(QUIET) --python $(1) $(2) \
	|| { echo "uv failed. Once more with pip …"; $(1)/bin/python -m pip install $(PIP_OPTIONS) $(2); }

.venv/locked: requirements/uv.txt requirements/dev.txt
	$(call venv,.venv,requirements/dev.txt)
	@.venv/bin/python -m pip install $(PIP_OPTIONS) --require-hashes --requirement $< || echo "pip cannot install uv."
	$(call install,.venv,--require-hashes --requirement requirements/dev.txt)
	@touch $@
.cache/%/locked: requirements/%.txt | .venv/locked
	$(call venv,.cache/$*,$<)
	$(call install,.cache/$*,--require-hashes --requirement $<)
	@touch $@

# This environment is large, so uv shows its progress.
HEAVY_GB := 8
.cache/integrations/locked: QUIET :=
.cache/integrations/locked: requirements/integrations.txt | .venv/locked
	@mkdir -p $(@D)
	@df -Pk $(@D) | awk 'NR == 2 && $$4 < $(HEAVY_GB)e6 { \
		printf "$(@D) needs $(HEAVY_GB) GB of disk; free are %.1f GB.\n", $$4 / 1e6; exit 1 }'
	$(call venv,$(@D),$<)
	$(call install,$(@D),--require-hashes --requirement $<)
	@du -sh $(@D)
	@touch $@

# Podium, from the sources in this folder.
EDITABLE := --no-deps --no-build-isolation --editable .
.venv/ready: .venv/locked pyproject.toml
	$(call install,.venv,$(EDITABLE))
	@touch $@
.cache/%/ready: .cache/%/locked pyproject.toml
	$(call install,.cache/$*,$(EDITABLE))
	@touch $@
.PRECIOUS: .cache/%/locked

# ---- The two commands of the README --------------------------------------------

.PHONY: test test-all test-slow demo
test: AT_ONCE := --numprocesses=5 --dist=worksteal # its tests wait more than they compute
test: .venv/ready ## run all tests except the slow ones
	$(BIN)/pytest $(AT_ONCE) -p no:hypothesispytest -m "not slow"

test-slow: .venv/ready ## run the slow tests: kills, power cuts, many random cases
	$(BIN)/pytest $(AT_ONCE) -m "slow or hypothesis" tests tests/random

test-all: test test-slow ## run all tests

# The tests whose results depend on the store.
OVER_POSTGRES := $(addprefix tests/server/,postgres store/test_suite.py store/test_derived.py \
	store/test_migrate.py \
	$(addprefix writes/test_,vectors.py scenarios.py random_writes.py) \
	$(addprefix access/test_,access_service.py ownership.py row_quotas.py) \
	$(addprefix rpc/test_,reads.py watch.py attacks.py)) tests/client/sender/test_throttled.py
test-postgres: .venv/ready ## run the tests of stores with PostgreSQL (Debian: postgresql; or PODIUM_TEST_POSTGRES=URL)
	$(BIN)/pytest $(AT_ONCE) --store=postgres -m "not slow" $(OVER_POSTGRES)
	PODIUM_FUZZ_REQUESTS=300 $(BIN)/pytest --store=postgres tests/server/rpc/test_fuzz.py

demo: .venv/ready ## train a small sweep, record it, ask for eval() and score(), rank it (DEMO='--serve --store URL': serve the page at the end, keep the results in another store)
	$(BIN)/python examples/digits_sweep/sweep.py $(DEMO)

# ---- Checks ----------------------------------------------------------------------

.PHONY: cluster cluster-test check check-all prepare print-checks print-prepared readme-check mutations-all $(CHECKS) $(HEAVY_CHECKS)
check: test $(CHECKS) ## run what CI runs, except test-integrations and clients whose tools are missing here

check-all: CONFORMANCE = --all
check-all: check $(HEAVY_CHECKS) ## run everything that CI runs

print-checks:
	@echo $(CHECKS) $(HEAVY_CHECKS)

print-prepared:
	@echo $(PREPARED) $(HEAVY_CHECKS)

prepare: .cache/integrations/ready .cache/front/built .cache/floor/ready .cache/page/ready .cache/proto/locked .cache/deploy/locked .cache/deny/locked front-lint page/node_modules ## download and build what later checks need; each check can do that itself
	$(BIN)/python -m tests.conformance.run --build

lint: .venv/ready ## check rules and format with ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/ready ## check all types with mypy --strict
	$(BIN)/mypy

coverage: .venv/ready ## run the tests and report how much of the code they run
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	$(BIN)/coverage run -m pytest $(AT_ONCE) -m "not slow"
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

imports: .venv/ready ## check the direction of imports
	$(BIN)/lint-imports

blocking-check: .venv/ready ## check that the blocking client is generated from the current asynchronous client
	$(BIN)/python tools/make_blocking.py --check

proto-check: .venv/ready .cache/proto/locked ## check the generated code, lint, format and compatibility of the protos
	$(call generate,.cache/generated)
	diff --brief --recursive --exclude=__pycache__ .cache/generated/podium/v1 $(GENERATED) \
		|| { echo "The generated code is not current: run make proto."; exit 1; }
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
	$(BIN)/buf breaking proto --against $(RELEASED)

docs-check: .venv/ready ## check that docs/api.md is generated from the current protos
	$(call document,.cache/api.md)
	diff docs/api.md .cache/api.md || { echo "docs/api.md is not current: run make docs."; exit 1; }

wheel-check: .venv/ready ## install the wheel without extras, and use it against a server
	$(BIN)/python tools/wheel_check.py

container-check: .venv/ready .cache/deploy/locked ## check the files in deploy/, and run the container's build and server without Docker
	.cache/deploy/bin/hadolint deploy/Dockerfile
	.cache/deploy/bin/kubernetes-validate --strict --quiet deploy/kubernetes.yaml
	$(BIN)/python tools/container_check.py

floors: .cache/floor/ready ## run the tests with the lowest versions that pyproject.toml allows
	.cache/floor/bin/pytest $(AT_ONCE) -m "not slow" $(FLOOR_TESTS)

chaos: .venv/ready ## kill trainers, senders and the server while results are recorded
	$(BIN)/python -m tests.crash.chaos.run --kills 100 --rows 50000

# A cluster of three nodes on this machine (Debian: postgresql, etcd-server, iproute2).
CLUSTER := PATH=$(CURDIR)/.cache/cluster/bin:$$PATH
FAULTS ?= --kills 0 --cuts 1 --pauses 1 --fills 0
cluster: .venv/ready .cache/cluster/locked ## run three servers on a PostgreSQL cluster of three nodes, until Ctrl-C
	@$(CLUSTER) exec $(BIN)/python -m tests.cluster.servers

cluster-test: .venv/ready .cache/cluster/locked ## break a cluster as in `make cluster` under load (FAULTS="--kills 20 --cuts 10 --pauses 5 --fills 1 --rows 20000")
	$(CLUSTER) $(BIN)/python -m tests.cluster.run $(FAULTS)

MUTATED := scoring ranking statistics comparing values writes
mutations: .venv/ready ## plant defects in packages with quick tests, and count how many the tests find
	$(BIN)/python tests/project/mutations/run.py $(MUTATED)

mutations-all: .venv/ready ## do the same in all packages; this takes long
	$(BIN)/python tests/project/mutations/run.py --most 16

conformance: .venv/ready ## test the clients of all languages with the same cases (CONFORMANCE=--all: fail if one is missing)
	$(BIN)/python -m tests.conformance.run $(CONFORMANCE)

# Fetches and compiles all dependencies of each language, so it is not part of CI.
readme-check: .venv/ready ## run the example of each README in an empty folder (LANGUAGES="go rust": only these)
	$(BIN)/python tools/readme_check.py $(LANGUAGES)

test-integrations: .cache/integrations/ready ## test the integrations with the real libraries, in an environment of 6 GB
	.cache/integrations/bin/pytest -W default tests/client/integrations

test-page: .cache/page/ready page/node_modules ## test the page in Chromium (Debian: chromium and chromium-driver)
	.cache/page/bin/pytest tests/page

# The native front is not installed in .venv. A command finds it only if FRONT comes before it.
FRONT := PYTHONPATH=.cache/front/site
CARGO_TARGET_DIR ?= $(CURDIR)/.cache/front-target
.cache/front/built: export CARGO_TARGET_DIR := $(CARGO_TARGET_DIR)
.cache/front/built: $(wildcard server/front/*.* server/front/src/*) | .venv/ready
	@rm -rf $(@D)
	@$(BIN)/maturin build --quiet --release --locked --manifest-path server/front/Cargo.toml --out $(@D)/wheels
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --no-index --target $(@D)/site $(@D)/wheels/*.whl
	@touch $@

front: .cache/front/built ## build the native front (it needs cargo)

# The tests of the protocol, of the server's process and of the client. The other tests of a server
# pass with this front, too, but would take twice the time.
FRONT_TESTS := tests/server/front tests/server/rpc tests/server/access tests/server/watch \
	tests/server/serve tests/server/writes/test_vectors.py tests/client/client
front-lint: ## check the native front with rustfmt and clippy
	@cd server/front && export CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) && cargo fmt --check && cargo clippy --quiet --release --locked -- --deny warnings

test-front: .cache/front/built front-lint ## run the tests of the protocol with the native front
	$(FRONT) $(BIN)/pytest $(AT_ONCE) -m "not slow" --front native $(FRONT_TESTS)

front-fuzz: .cache/front/built ## send 50,000 wrong requests to both fronts, and check that the answers are equal
	$(FRONT) PODIUM_FUZZ_REQUESTS=50000 $(BIN)/pytest -s tests/server/front/test_equal_answers.py

front-deny: .cache/deny/locked ## check the licenses, sources and duplicates of the native front's libraries
	cd server/front && PATH="$(CURDIR)/.cache/deny/bin:$$PATH" cargo deny --locked check bans licenses sources

page-figures: .cache/page/ready ## measure how fast the page shows results, and its size
	.cache/page/bin/python -m tests.page.measure

.PHONY: bench bench-guard bench-scaling bench-peers front front-fuzz front-lint page-figures
bench: .venv/ready ## measure and print the figures of the README (both fronts after `make front`; BENCH="--store postgres")
	$(FRONT) $(BIN)/python benchmarks/run.py $(BENCH)

bench-guard: .venv/ready ## fail if a frequent operation costs 15 % more than the baseline
	$(BIN)/python benchmarks/guard.py

.cache/echo: benchmarks/echo.cc
	@mkdir -p $(@D)
	g++ -O2 -std=c++17 -o $@ $< $$(pkg-config --cflags --libs grpc++)

bench-scaling: .venv/ready .cache/echo ## measure and draw how times grow with the number of arms (Debian: libgrpc++-dev)
	$(BIN)/python benchmarks/scaling.py

PEERS := mlflow optuna vizier trackio aim wandb tensorboard
bench-peers: .venv/ready ## measure Podium beside other tools, each in its own environment (QUICK=--quick: shorter)
	-@$(MAKE) --keep-going $(PEERS:%=.cache/peers-%/locked)
	PYTHONPATH=benchmarks $(BIN)/python -m peers $(QUICK)

# ---- Generated files ----------------------------------------------------

# $(call generate,FOLDER) fills FOLDER/podium/v1 from the protos. Only services get gRPC stubs.
define generate
@rm -rf $(1)/podium/v1 && mkdir -p $(1)/podium/v1
@.cache/proto/bin/python -m grpc_tools.protoc --proto_path=proto --python_out=$(1) \
	--plugin=.cache/proto/bin/protoc-gen-mypy --mypy_out=quiet:$(1) $(PROTOS)
@.cache/proto/bin/python -m grpc_tools.protoc --proto_path=proto --grpc_python_out=$(1) \
	--plugin=.cache/proto/bin/protoc-gen-mypy_grpc --mypy_grpc_out=quiet:$(1) $(SERVICES)
@echo '"""Generated from proto/podium/v1 by `make proto`: never edit."""' > $(1)/podium/v1/__init__.py
endef

# $(call document,FILE) writes the reference of the protos to FILE.
define document
@mkdir -p .cache
@$(BIN)/buf build proto --as-file-descriptor-set --output .cache/podium.binpb
@$(BIN)/python tools/api_docs.py .cache/podium.binpb > $(1)
endef

.PHONY: page proto proto-go proto-rust proto-typescript stubs-check blocking docs format lock clean help
proto: .cache/proto/locked ## generate client/python/podium/v1 from the protos
	$(call generate,client/python)

proto-rust: ## generate client/rust/src/v1 from the protos
	cd client/rust && cargo run --locked --package podium-codegen

GO_MODULE := podium.example/podium
proto-go: .cache/proto/locked ## generate client/go/podiumv1 from the protos
	@GOBIN=$(CURDIR)/.cache/go go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
	@GOBIN=$(CURDIR)/.cache/go go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
	@rm -f client/go/podiumv1/*.pb.go
	@.cache/proto/bin/python -m grpc_tools.protoc --proto_path=proto \
		--plugin=.cache/go/protoc-gen-go --go_out=client/go --go_opt=module=$(GO_MODULE) \
		--plugin=.cache/go/protoc-gen-go-grpc --go-grpc_out=client/go --go-grpc_opt=module=$(GO_MODULE) $(PROTOS)

TYPESCRIPT := client/typescript
proto-typescript: .cache/proto/locked ## generate client/typescript/src/podium/v1 from the protos
	@npm --prefix $(TYPESCRIPT) ci --silent
	@rm -rf $(TYPESCRIPT)/src/podium $(TYPESCRIPT)/src/google
	@.cache/proto/bin/python -m grpc_tools.protoc --proto_path=proto --proto_path=$(TYPESCRIPT)/proto \
		--plugin=$(TYPESCRIPT)/node_modules/.bin/protoc-gen-es --es_out=$(TYPESCRIPT)/src \
		--es_opt=target=ts --es_opt=import_extension=js $(PROTOS) google/rpc/error_details.proto
	@{ echo '/** Every message, enum and service of the protocol `podium.v1`, as they were generated. */'; \
		printf 'export * from "./podium/v1/%s_pb.js";\n' $(basename $(notdir $(PROTOS))); } > $(TYPESCRIPT)/src/v1.ts

PAGE := server/podium_server/web/static
define build-page
@rm -rf .cache/page-built
@node page/build.mjs $(CURDIR)/.cache/page-built
endef
page/node_modules: page/package-lock.json $(TYPESCRIPT)/package-lock.json
	@npm --prefix $(TYPESCRIPT) ci --silent
	@npm --prefix page ci --silent
	@touch $@

page: page/node_modules ## build the page for browsers into the package of the server
	$(call build-page)
	@rm -rf $(PAGE) && cp -r .cache/page-built $(PAGE)

page-check: page/node_modules ## check the types of the page, and that the built page is current
	@npm --prefix page run --silent types
	$(call build-page)
	diff --brief --recursive .cache/page-built $(PAGE) || { echo "The built page is not current: run make page."; exit 1; }

contract: .venv/ready ## at a release: store the protos, with which later ones must be compatible
	$(BIN)/buf breaking proto --against $(RELEASED)
	$(BIN)/buf build proto --exclude-source-info --output $(RELEASED)

# `make test` also finds generated code that is not current, without a toolchain, but does not compare comments.
STUBS := client/go/podiumv1 $(TYPESCRIPT)/src/podium $(TYPESCRIPT)/src/google $(TYPESCRIPT)/src/v1.ts client/rust/src/v1
stubs-check: proto-go proto-typescript proto-rust ## check that the generated code of Go, TypeScript and Rust is current (it needs all three toolchains)
	@test -z "$$(git status --porcelain -- $(STUBS))" \
		|| { echo "The generated code is not current: commit what make proto-go proto-typescript proto-rust wrote."; exit 1; }

blocking: .venv/ready ## generate the blocking client from the asynchronous one
	$(BIN)/python tools/make_blocking.py

docs: .venv/ready ## generate docs/api.md from the protos
	$(call document,docs/api.md)

format: .venv/ready ## format Python and protos
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/buf format --write proto

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"
# All extras except `fast`, which is built from server/front.
EXTRAS := $(foreach extra,server http otel postgres pandas plot parquet import,--extra $(extra))
lock: .venv/locked ## write requirements/*.txt with the newest allowed versions
	$(LOCK) pyproject.toml --output-file requirements/client.txt
	$(LOCK) requirements/cluster.in --output-file requirements/cluster.txt
	$(LOCK) requirements/build.in --output-file requirements/build.txt
	$(LOCK) requirements/deny.in --output-file requirements/deny.txt
	$(LOCK) requirements/deploy.in --output-file requirements/deploy.txt
	$(LOCK) requirements/proto.in --output-file requirements/proto.txt
	$(LOCK) requirements/floor.in pyproject.toml $(EXTRAS) --output-file requirements/floor.txt --resolution lowest-direct
	$(LOCK) requirements/integrations.in pyproject.toml --extra server --output-file requirements/integrations.txt
	for peer in $(PEERS); do $(LOCK) requirements/peers-$$peer.in --output-file requirements/peers-$$peer.txt || exit 1; done
	$(LOCK) requirements/page.in pyproject.toml --extra server --extra http --output-file requirements/page.txt
	$(LOCK) requirements/dev.in pyproject.toml $(EXTRAS) --output-file requirements/dev.txt
	echo uv | $(LOCK) - --constraint requirements/dev.txt --output-file requirements/uv.txt
	$(LOCK) pyproject.toml --extra server --extra http --extra otel --extra postgres --constraint requirements/dev.txt --output-file requirements/server.txt

clean: ## remove the environments and all other generated files
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	rm -rf client/*/build client/*/target client/*/node_modules page/node_modules

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
