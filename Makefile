# Two commands from a fresh clone: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test lint clean

# The runtime alone: what a Raspberry Pi gets.
$(VENV)/.runtime: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	touch $@

# Everything, torch included.
$(VENV)/.all: $(VENV)/.runtime
	$(PIP) install --editable '.[train,dev]'
	touch $@

run: $(VENV)/.runtime
	rm -rf $(OUT)
	mkdir -p $(OUT)
	$(BIN)/simrun --demo --jsonl $(OUT)/demo.jsonl --save $(OUT)/demo.mp4
	$(BIN)/simrun --source samples --jsonl - --csv $(OUT)/samples.csv --save $(OUT)/samples
	$(BIN)/simrun --source samples --model mnist-lenet --jsonl $(OUT)/digits.jsonl --save $(OUT)/digits
	@echo "Look at $(OUT)/demo.mp4 and the pictures in $(OUT)/samples and $(OUT)/digits"

test: $(VENV)/.all
	$(BIN)/python -m pytest

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OUT) build dist
