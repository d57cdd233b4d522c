# make install     the environment in .venv, from requirements/cpu.lock; does nothing when it is there already
# make quickstart  everything from nothing: environment, data, a model that learns on this CPU, a report
# make test        the environment if missing, then all tests
# make lint        ruff, shellcheck, shfmt
# make recipes     record which launchers compose (level C), write the tables of recipes and of the launch
# make smoke       smoke-run one launcher for each model family and backend, a minute or two each; records level S
# make smoke-all   the same with every launcher
# make lock        compute requirements/cpu.lock anew from requirements/cpu.in

BASE_PYTHON ?= python3
PYTHON := .venv/bin/python
SHELL_FILES := $(shell git ls-files -co --exclude-standard '*.sh' .ci/run)

.PHONY: install quickstart test lint recipes smoke smoke-all lock

install:
	@sh requirements/install.sh "$(BASE_PYTHON)" .venv requirements/cpu.lock

quickstart: install
	@$(PYTHON) data_prep/arithmetic.py
	@bash examples/grpo_trainer/run_tiny_cpu_arithmetic.sh
	@printf '%s\n' '' \
		'What next:' \
		'  open runs/run_tiny_cpu_arithmetic/report.html in a browser' \
		'  read examples/grpo_trainer/run_tiny_cpu_arithmetic.sh: it is one page, and every launcher looks like it' \
		'  NEW_RUN=1 ACTOR_LR=3e-4 bash examples/grpo_trainer/run_tiny_cpu_arithmetic.sh      change a knob' \
		'  bash examples/grpo_trainer/run_smollm2-135m_cpu_gsm8k.sh                            a real model on real GSM8K' \
		'  DRY_RUN=1 bash examples/grpo_trainer/run_qwen2-7b_megatron_gsm8k.sh                 what would run on 8 GPUs'

test: install lint
	@$(PYTHON) -m pytest -n 2 --no-loadscope-reorder

lint: install
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@.venv/bin/shellcheck $(SHELL_FILES)
	@.venv/bin/shfmt -d -i 4 -ci $(SHELL_FILES)

recipes: install
	@$(PYTHON) -m tools.record_composed
	@$(PYTHON) -m tools.recipe_table
	@$(PYTHON) -m tools.launch_tables

smoke: install
	@$(PYTHON) -m tools.smoke --one-per-architecture

smoke-all: install
	@$(PYTHON) -m tools.smoke --all

lock: install
	@sh requirements/lock.sh
