# Two commands from a fresh clone: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
# Emulated machines lie outside the checkout: an arm64 Python, kernels, 370 MB in all.
EMULATED ?= $(HOME)/.cache/similarnet
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test wheel docs machines pi vm lint clean

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

# What is released: the sdist first, then the wheel out of the sdist, so that the one makes the other.
$(VENV)/.build:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install build
	touch $@

wheel: $(VENV)/.build
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	@ls -l dist

# The API reference, for a browser. A public name without a docstring ends it.
docs: $(VENV)/.all
	$(BIN)/python docs/make_reference.py build/reference

# The rest needs Debian and root: it installs QEMU with apt-get.
$(EMULATED)/python: benchmarks/arm/setup.sh benchmarks/arm/fakepi.sh benchmarks/arm/marks.c \
		| $(VENV)/.all
	PATH="$(abspath $(BIN)):$$PATH" bash benchmarks/arm/setup.sh $(EMULATED)

$(EMULATED)/vm-%/initrd.gz: tests/vm/build.sh tests/vm/init
	bash tests/vm/build.sh $* $(EMULATED)

machines: $(EMULATED)/python $(EMULATED)/vm-amd64/initrd.gz $(EMULATED)/vm-arm64/initrd.gz

# The runtime on an emulated Raspberry Pi 4 and 5, and what a frame costs there. PI and VM are
# arguments for pytest.
pi: $(VENV)/.all $(EMULATED)/python
	SIMILARNET_EMULATED=$(EMULATED) $(BIN)/python -m pytest -rP tests/arm $(PI)
	$(BIN)/python -m benchmarks.arm.budget $(EMULATED) --check

# simrun with a camera, in virtual machines.
vm: $(VENV)/.all machines
	SIMILARNET_EMULATED=$(EMULATED) $(BIN)/python -m pytest -rP tests/vm $(VM)

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) $(OUT) build dist
