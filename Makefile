# Two commands matter: `make up` gives a whole fleet on this machine, `make test` proves it. `make help` lists the rest.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help up down status test test-unit test-local test-app test-lab lint bench bench-up install install-lab install-test

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20

up: install-lab ## a whole fleet on this machine: lab, release, stack, converge; then open the URL it prints
	@lab/up.sh

down: ## stop the lab and leave nothing behind
	@[ -x $(BIN)/corral ] && corral lab down || { echo "corral: nothing was started from here, or it did not stop; see docs/lab.md" >&2; exit 1; }

status: ## what runs in the lab, and its health
	@[ -x $(BIN)/corral ] && corral lab status || { echo "corral: no lab has been started from here; start one: make up" >&2; exit 1; }

test: install-test lint test-unit test-local test-app test-lab ## everything that CI runs

test-unit: install-test ## the repository alone: seconds, no root
	@pytest tests/unit

test-local: install-test ## with real processes: the lab's API, HAProxy, nginx, PM2; minutes, no root
	@pytest tests/local

test-app: install-test ## the example app's own tests
	@cd app && npm ci --no-audit --no-fund --loglevel=error && npm test

test-lab: install-test ## the tests on real hosts: brings the lab up, and down again
	@pytest tests/lab -v --durations=25

lint: install ## ruff, mypy
	@ruff check .
	@ruff format --check .
	@mypy

bench: up ## side-by-side measurements on the lab: a converge and a tick with nothing to do, a host's boot, rollouts under load
	@python bench/noop.py
	@python bench/boot.py
	@PYTHONPATH=. python bench/tick.py
	@PYTHONPATH=. python bench/rollout.py

bench-up: install-lab ## `make up` from nothing and from a warm cache; takes a running lab down
	@python bench/up.py

install:
	@requirements/install.sh

install-lab:
	@CORRAL_TARGET=$(firstword $(MAKECMDGOALS)) requirements/install.sh lab

install-test:
	@CORRAL_TARGET=$(firstword $(MAKECMDGOALS)) requirements/install.sh lab test
