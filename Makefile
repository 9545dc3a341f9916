# Everything that a checkout can do. Each target makes .venv from nothing and installs what it needs; a second call
# finds it there.
#
#   make train                          train the embedded default recipe
#   make train ARGS="recipes/digits-plain-sgd.toml --train.epochs 5"
#   make test                           every test but those of guests, with every framework; WORKERS= sets how many processes
#   make test-fast                      without the tests marked slow; ARGS= goes to pytest
#   make nightly                        all that make test does in part: new random cases, twenty times as many; hours
#   make lowest                         the optimizers' tests with the lowest versions that are allowed, in .venv-lowest
#   make guests                         tests/guests with trainers of others (Lightning, Accelerate, ...), in .venv-guests
#   make guests-table                   the same, and write the table of docs/guests/index.md from what was found
#   make crash-matrix                   kill a run at every one of its file-system calls; some minutes
#   make lint                           ruff and pyright
#   make bench                          time steps, training steps and memory; writes benchmarks/results and the page
#   make device-check                   try all that computes on an accelerator, in minutes; ARGS="--device cpu --quick"
#   make results                        train the recipes of docs/results.md and write it; ARGS="--only NAME" for some
#   make notebooks                      execute the notebooks of examples/, and keep their outputs
#   make aarch64                        build the kernels for aarch64, run them under emulation: the same bits
#   make dist                           build the source distribution and the wheel, and try them as installed; minutes
#   make site                           build the documentation's site into build/site, strictly, in .venv-site
#   make clean                          remove .venv and what tools left behind; runs/ is yours and stays

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip
ARGS ?=

# The tensors of the tests are tiny: several threads would only wait for one another, so there are several processes.
# What is tried inside trainers of others, `make guests` runs where all of them are, and nothing of it twice.
WORKERS ?= auto
# A test that hangs ends its process, which says where it was; half an hour is a hang on any machine, except by night.
BOUNDED := -o faulthandler_timeout=1800 -o faulthandler_exit_on_timeout=true
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(BOUNDED) -n $(WORKERS) --dist worksteal --ignore tests/guests

.PHONY: train test test-fast nightly lowest guests guests-table crash-matrix lint format bench device-check results notebooks aarch64 dist site clean

train: $(VENV)/.installed-train
	$(VENV)/bin/downslope train $(ARGS)

test: $(VENV)/.installed-test $(VENV)/triton
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.installed-test $(VENV)/triton
	$(PYTEST) -m "not slow" $(ARGS)

nightly: $(VENV)/.installed-test $(VENV)/triton
	DOWNSLOPE_NIGHTLY=1 $(PYTEST) -o faulthandler_timeout=0 $(ARGS)

# In an environment of its own, made from nothing each time: what is tried is what somebody would get.
LOWEST := .venv-lowest
OPTIMIZERS := tests/torch_door tests/numpy_door tests/jax_door tests/keras_door tests/converting tests/systems

lowest:
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install -c constraints-lowest.txt -e ".[train,flax,keras,tables]" pytest hypothesis pexpect
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -m "not slow" $(OPTIMIZERS) $(ARGS)

# In an environment of its own, since trainers pin one another's versions.
GUESTS := .venv-guests
ON_JAX := KERAS_BACKEND=jax OMP_NUM_THREADS=1

guests: $(GUESTS)/.installed
	$(ON_JAX) $(GUESTS)/bin/python -m pytest $(BOUNDED) tests/guests $(ARGS)

guests-table: $(GUESTS)/.installed
	DOWNSLOPE_GUESTS_TABLE=write $(ON_JAX) $(GUESTS)/bin/python -m pytest $(BOUNDED) tests/guests $(ARGS)

$(GUESTS)/.installed: pyproject.toml constraints.txt constraints-guests.txt $(wildcard csrc/*.cpp csrc/*.h csrc/*.txt)
	$(PYTHON) -m venv $(GUESTS)
	$(GUESTS)/bin/python -m pip install --no-compile -c constraints.txt -c constraints-guests.txt -e ".[guests]"
	touch $@

crash-matrix: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 DOWNSLOPE_EVERY_CALL=1 $(VENV)/bin/python -m pytest -s tests/training/test_kills.py $(ARGS)

lint: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright

format: $(VENV)/.installed-lint
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

# On a quiet machine, for some fifteen minutes: what was measured, as tables and as samples, then docs/performance.md.
# TIMM= names the train.py of timm's repository, which is no part of its package; without it, timm's loop is left out.
RESULTS := benchmarks/results

bench: $(VENV)/.installed-test
	mkdir -p $(RESULTS)
	set -e; for name in step keras_step train_step memory workers; do \
	  $(VENV)/bin/python benchmarks/$$name.py --json $(RESULTS)/$$name.json > $(RESULTS)/$$name.txt; \
	  cat $(RESULTS)/$$name.txt; done
	$(VENV)/bin/python benchmarks/resnet.py $(if $(TIMM),--timm $(TIMM)) --json $(RESULTS)/resnet.json > $(RESULTS)/resnet.txt
	cat $(RESULTS)/resnet.txt
	$(VENV)/bin/python benchmarks/render.py

# Where there is an accelerator; a checkout alone is enough: PYTHONPATH=src python3 benchmarks/device_check.py
device-check: $(VENV)/.installed-test
	$(VENV)/bin/python benchmarks/device_check.py $(ARGS)

results: $(VENV)/.installed-test
	$(VENV)/bin/python benchmarks/results.py $(ARGS)

notebooks: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(VENV)/bin/python tests/notebooks/executing.py

# Debian's g++-aarch64-linux-gnu and qemu-user. The test itself knows the hash of all bits, which is every processor's.
aarch64:
	csrc/tests/run_bits.sh
	CXX=aarch64-linux-gnu-g++ LDFLAGS=-static EMULATOR=qemu-aarch64 csrc/tests/run_bits.sh

# For the interpreter that PYTHON names: 3.11 has a wheel of its own, 3.12 makes the one for 3.12 and later.
dist:
	tests/installed/run.sh $(PYTHON)

# The package without its kernel, since the reference is read and not run. English first: it empties the folder.
SITE := .venv-site

site: $(SITE)/.installed
	PYTHONPATH=src $(SITE)/bin/python site/assemble.py
	set -e; for language in en zh; do \
	  NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict -f build/site-source/$$language.yml; done
	@echo "build/site/index.html"

$(SITE)/.installed: pyproject.toml constraints.txt constraints-site.txt
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet -c constraints.txt -c constraints-site.txt mkdocs-material "mkdocstrings[python]" jieba ruff numpy msgspec tomli-w
	touch $@

# One stamp per extra: installed again when what is asked for, the pins or the C++ have changed. The tests' packages have
# 24,000 files, of which a quarter is ever imported: one process compiles these, before many would at the same moment.
IMPORTED := pytest, xdist, hypothesis, downslope.cli.train, torch._dynamo, torch.distributed.fsdp, tensorflow, keras, jax, optax, \
  flax.linen, orbax.checkpoint, sklearn.datasets, pandas, pyarrow, matplotlib.pyplot, optuna

$(VENV)/.installed-%: pyproject.toml constraints.txt $(wildcard csrc/*.cpp csrc/*.h csrc/*.txt) | $(VENV)/bin/python
	$(PIP) install $(if $(filter test,$*),--no-compile) -c constraints.txt -e ".[$*]"
	$(if $(filter test,$*),env -u PYTHONDONTWRITEBYTECODE TF_CPP_MIN_LOG_LEVEL=3 $(VENV)/bin/python -c "import $(IMPORTED)")
	touch $@

# Apart from all else: TensorFlow ends a process that loads it too, and torch loads what it finds.
$(VENV)/triton: constraints.txt | $(VENV)/bin/python
	mkdir -p $@
	$(PIP) install --quiet --upgrade --no-deps --target $@ -c constraints.txt \
	  "triton; sys_platform == 'linux' and platform_machine == 'x86_64'"
	touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Downslope needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) $(LOWEST) $(GUESTS) $(SITE) build dist .pytest_cache .ruff_cache .hypothesis
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
