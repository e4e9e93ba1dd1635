# Each target does its own set-up in .venv; PYTHON names the interpreter to make it with.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# real data sets, if they lie beside the project: tests on them are skipped where they are absent
export UNETWORKS_DATA ?= $(wildcard $(abspath ../shared/data))
ifeq ($(UNETWORKS_DATA),)
unexport UNETWORKS_DATA
endif

.PHONY: help demo test test-all dev check lint types layers bundles drift bench bench-io bench-predict bench-networks bench-family hippocampus clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(STAMP): pyproject.toml constraints.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

dev: $(STAMP) ## install everything into .venv

demo: $(STAMP) ## phantom, training, prediction of a DICOM series, scores, picture
	$(BIN)/python scripts/demo.py

test: $(STAMP) ## the suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS)

test-all: $(STAMP) ## the suite and the heavy tests that it leaves out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m ""

check: lint types layers drift ## everything but the tests

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy pipeline tests scripts benchmarks

layers: $(STAMP)
	$(BIN)/lint-imports

bundles: $(STAMP) ## write bundles/ from its sources
	$(BIN)/python -m pipeline.bundlegen.write

drift: $(STAMP)
	$(BIN)/python -m pipeline.bundlegen.write --check

bench: $(STAMP) ## a training step beside a plain PyTorch loop
	$(BIN)/python benchmarks/train.py

bench-io: $(STAMP) ## reading a series beside MONAI's and SimpleITK's readers
	$(BIN)/python benchmarks/io.py

bench-predict: $(STAMP) ## a scan file to file beside MONAI's stock pipeline (about an hour)
	$(BIN)/python -m benchmarks.reference
	$(BIN)/python -m benchmarks.predict --page --only stock nnunet auto auto-lattice auto-full fp32-box \
	  fp32 auto@25 auto@105 stock@25 long@105
	$(BIN)/python -m benchmarks.box --page
	$(BIN)/python -m benchmarks.overhead --page

bench-networks: $(STAMP) ## every network beside public implementations
	$(BIN)/python -m benchmarks.networks --page

bench-family: $(STAMP) ## every network for two minutes on two real sets (over an hour)
	$(BIN)/python -m benchmarks.family --jobs 2 --page

hippocampus: $(STAMP) ## ten minutes on real MR scans (UNETWORKS_DATA)
	$(BIN)/python -m monai.bundle run training --config_file bundles/attunet/train.json \
	  --manifest hippocampus --fold 0 --max_minutes 10

clean: ## remove what can be made again
	rm -rf build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
