.PHONY: setup test demo lint clean

PYTHON := .venv/bin/python

setup:
	@packaging/setup

test: setup
	@$(PYTHON) -m pytest $(PYTEST)

demo: setup
	@$(PYTHON) -m testdata.distro.demo $(if $(BOOT),--boot)

lint: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info
