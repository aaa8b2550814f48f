# Two commands matter: `make up` gives a whole fleet on this machine, `make test` proves it. `make help` lists the rest.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help up down status test test-unit test-app test-lab lint bench install install-lab install-test

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile | expand -t 20

up: install-lab ## a whole fleet on this machine: lab, release, stack, converge; then open the URL it prints
	@lab/up.sh

down: install-lab ## stop the lab and leave nothing behind
	@corral lab down

status: install-lab ## what runs in the lab, and its health
	@corral lab status

test: lint test-unit test-app test-lab ## everything that CI runs

test-unit: install-test ## seconds, no root
	@pytest tests/unit

test-app: install-test ## the example app's own tests
	@cd app && npm ci --no-audit --no-fund --loglevel=error && npm test

test-lab: install-test ## the tests on real hosts: brings the lab up, and down again
	@pytest tests/lab

lint: install ## ruff, mypy
	@ruff check .
	@ruff format --check .
	@mypy

bench: install-lab ## side-by-side measurements; needs the lab up (make up)
	@for script in bench/[a-z]*.py; do echo "== $$script"; python $$script || exit 1; done

install:
	@requirements/install.sh

install-lab:
	@CORRAL_TARGET=$(firstword $(MAKECMDGOALS)) requirements/install.sh lab

install-test:
	@CORRAL_TARGET=$(firstword $(MAKECMDGOALS)) requirements/install.sh lab test
