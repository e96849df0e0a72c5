# Two commands do all set-up on a fresh machine:  make reproduce   and   make test
#
# PIP_ARGS goes to pip; on Linux without a GPU the CPU-only torch saves about 3 GB:
#   make reproduce PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON   ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
               command -v $$p >/dev/null 2>&1 && \
               $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
               echo $$p && break; done)
PIP_ARGS ?=
VENV     := .venv
BIN      := $(VENV)/bin
PIP      := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt $(PIP_ARGS)

# The environment is installed without bytecode; Python may write what the tests import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help reproduce study accept test test-slurm test-wheel fuzz faults check docs bench

help:
	@echo "make reproduce   install, run the small study, show its results table"
	@echo "make study       the embedded study in slices of MINUTES=55; repeat until it is done"
	@echo "make test        install, run the tests"
	@echo "make test-slurm  the study as jobs of a real Slurm on this machine (root, slurm-wlm, munge)"
	@echo "make test-wheel  the wheel in a fresh environment and an empty directory"
	@echo "make docs        write the pages of docs/ that are generated from the code"
	@echo "make accept      write the small study's numbers to experiments/results/ and to its [expected]"
	@echo "make fuzz        more than 10,000 cases of bad input, new ones each time (some ten minutes of one core)"
	@echo "make faults      disturb the commands some 330 times in all, and count what survives (about an hour)"
	@echo "make check       lint, bandit over our code, pip-audit over the pinned packages"
	@echo "make bench       speed and memory of the scorer beside minicons and lm-eval (about an hour)"

reproduce: $(VENV)/.installed
	@$(BIN)/cqa run experiments/reproduce.toml; status=$$?; \
	echo; echo "To go on from here:  source $(BIN)/activate"; exit $$status

# All three are locked before the first score; controls and duality then find the runs of embedded.
MINUTES  ?= 55
study: $(VENV)/.installed
	@for name in embedded controls duality; do $(BIN)/cqa lock experiments/$$name.toml || exit $$?; done
	@$(BIN)/cqa run experiments/embedded.toml --minutes $(MINUTES); status=$$?; \
	if [ $$status -eq 4 ]; then echo "the slice is over: make study goes on from here"; fi; exit $$status

accept: $(VENV)/.installed
	@$(BIN)/cqa run experiments/reproduce.toml --accept

test: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

test-slurm: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -x tests/slurm/on_slurm.py

test-wheel:
	@PYTHON="$(PYTHON)" PIP_ARGS="$(PIP_ARGS)" tests/wheel.sh

docs: $(VENV)/.installed-dev
	@$(BIN)/python docs/generate.py

fuzz: $(VENV)/.installed-dev
	@CQA_FUZZ=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz

check: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/bandit --quiet --recursive --severity-level medium cqa
	@$(BIN)/python tests/vulnerabilities.py

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "cqa needs Python 3.11 or newer and found none; install one or say make PYTHON=/path/to/python"; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: the package python3-venv is missing"; \
	  echo "(Debian, Ubuntu: sudo apt install python3-venv)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (some minutes; 1.7 GB with a CPU-only torch)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV), with what the tests need (some minutes)"
	@$(PIP) --no-compile -e '.[dev]'
	@touch $@ $(VENV)/.installed

bench: $(VENV)/.installed-dev
	@$(BIN)/python experiments/bench/score.py
	@$(BIN)/python experiments/bench/score.py --shape 150k
	@$(BIN)/python experiments/bench/bf16.py

# Resumes where it was stopped; a slice ends after MINUTES.
faults: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python experiments/faults/campaign.py --minutes $(MINUTES)
