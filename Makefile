# Two commands on a fresh machine: `make demo` and `make test`. The rest is for development.

VENV := .venv
PY := $(VENV)/bin/python
LINGTING := $(VENV)/bin/lingting
MODELS := whisper-base fsmn-vad sample-recordings
SPEECH := ../shared/speech
PAGES := tests/test_layers.py tests/test_errors.py tests/test_docs.py tests/test_imports.py
# One test file or folder: make test T=tests/unit/text
T ?= tests
# One bench: make bench B=throughput
BENCHES := startup vad throughput sensevoice nano nano_memory long_recording history host service \
	openai_http search pages
B ?= $(BENCHES)
ARGUMENTS_startup := --json build/bench-startup.json
ARGUMENTS_vad := --audio $(SPEECH)
ARGUMENTS_throughput := --manifest $(SPEECH)/manifest.jsonl --sequential \
	--json build/bench-throughput.json
ARGUMENTS_sensevoice := --manifest $(SPEECH)/manifest.jsonl --json build/bench-sensevoice.json
ARGUMENTS_nano := --speech $(SPEECH) --json build/bench-nano.json
ARGUMENTS_nano_memory := --speech $(SPEECH) --json build/bench-nano_memory.json
ARGUMENTS_long_recording := --manifest $(SPEECH)/manifest.jsonl \
	--json build/bench-long_recording.json
ARGUMENTS_history := --json build/bench-history.json
ARGUMENTS_service := --manifest $(SPEECH)/manifest.jsonl --json build/bench-service.json
ARGUMENTS_openai_http := --manifest $(SPEECH)/manifest.jsonl --json build/bench-openai_http.json
ARGUMENTS_search := --folder build/search --json build/bench-search.json
ARGUMENTS_pages := --manifest $(SPEECH)/manifest.jsonl --json build/bench-pages.json
ARGUMENTS_host := --speech $(SPEECH) --json build/bench-host.json

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check fix setup setup-base models eval bench chaos docs lock sizes clean \
	$(addprefix bench-,$(BENCHES))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-base models ## set everything up and transcribe two real recordings into ./demo
	@sh scripts/demo.sh $(LINGTING)

# Servers, browsers and engines share two cores here. A test that failed in the crowd is run once more
# by itself, and named: green then says that it was the crowd, and the first summary which test to mend.
test: setup models ## set up what tests need and run them all (T=path for some)
	@echo "==> Running the tests of $(T)" >&2
ifeq ($(T),tests)
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder $(T) || \
	{ status=$$?; [ $$status -eq 1 ] || exit $$status; \
	echo "==> What failed above, once more and alone (more than 3 is no accident)" >&2; \
	$(PY) -m pytest --last-failed --last-failed-no-failures none --maxfail 3 $(T); }
else
	@$(PY) -m pytest $(T)
endif

check: setup ## format, lint, types, layers, documentation, lock: everything but the long tests
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) scripts/lock.py --check
	$(PY) -m pytest -q $(PAGES)

fix: setup docs ## format the code, mend what ruff can, write the generated pages anew
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

setup: ## the virtual environment with everything tests need
	@python=$$(sh scripts/python.sh) && "$$python" scripts/setup.py test --venv $(VENV)

setup-base:
	@python=$$(sh scripts/python.sh) && "$$python" scripts/setup.py base --venv $(VENV)

models: ## fetch the embedded models and the sample recordings (setup first)
	@echo "==> Models: $(MODELS) (about 180 MB the first time)" >&2
	@$(LINGTING) models pull $(MODELS)

eval: setup models ## error rates and speed beside faster-whisper on ../shared/speech (long)
	@mkdir -p build
	$(LINGTING) eval $(SPEECH)/manifest.jsonl --peers --report build/eval.json

bench: $(addprefix bench-,$(B)) ## start, speech detection, throughput, hours; see bench/README.md (B=vad for one)

$(addprefix bench-,$(BENCHES)): bench-%: setup models
	@mkdir -p build
	$(PY) bench/$*.py $(ARGUMENTS_$*)

chaos: setup models ## kill, lock, fill, freeze the whole service for up to ten minutes, then count
	@mkdir -p build
	$(PY) bench/chaos.py --manifest $(SPEECH)/manifest.jsonl --json build/chaos.json $(if $(SEED),--seed $(SEED))

docs: setup ## write the generated pages of docs/ anew
	$(PY) scripts/pages.py

lock: ## resolve every extra afresh and pin it in constraints.txt
	$(PY) scripts/lock.py

sizes: ## lines per module, and the longest functions
	@$(PY) scripts/sizes.py

clean: ## remove the environment and everything that was built; models stay
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
