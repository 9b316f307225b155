.PHONY: setup test test-import test-scriptlets test-triggers test-preview test-live test-boot test-boot-more test-kill verify-full bench bench-import bench-audit bench-solve demo lint clean

PYTHON := .venv/bin/python

# Else each of the thousands of processes that tests start compiles the program anew.
unexport PYTHONDONTWRITEBYTECODE

setup:
	@packaging/setup

test: setup
	@$(PYTHON) -m pytest $(PYTEST)

# Against rpm, the full set too where it is built: python -m testdata.distro.build --set full
test-import: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_import_fidelity.py $(PYTEST)

# How often triggers run, counted in the log of processes, and the cases of all of them
test-triggers: setup
	@$(PYTHON) -m pytest -n 0 -m 'slow or not slow' tests/test_trigger_counts.py tests/test_trigger_cases.py tests/test_alternatives.py $(PYTEST)

# Against really running the scriptlets, of the full set too where it is built; SEED=1 chooses others
test-scriptlets: setup
	@$(if $(SEED),LAYER_SCRIPTLETS_SEED=$(SEED)) $(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_scriptlets_equal.py $(PYTEST)

# Plans against what came of them, of 30 packages of the full set; LAYER_PREVIEW_SEED=1 takes others
test-preview: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_preview.py $(PYTEST)

# Each fault of a repository with what is printed, three that cannot be had, the solver's cases, groups
.PHONY: test-repositories
test-repositories: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_repository_faults.py tests/test_unsolved.py tests/test_solver_table.py tests/test_groups.py tests/test_group_requests.py $(PYTEST)

# `layer trigger verify` over a tree of the whole full set; minutes, and 20 GB where it is not built
verify-full: setup
	@$(PYTHON) -m tests.bench.verify_full $(TRIGGERS)

# Six boots of a virtual machine with layer in its base; consoles in build/test-boot
test-boot: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_boot.py tests/test_boot_live.py $(PYTEST)

# Live changes in private mount namespaces: readers over 200 swaps, killed at each change; 45 minutes
test-live: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_live*.py $(PYTEST)

# Six boots more: updates by the timer, a failed finalization, a trial, the machine's own initrd, /home
test-boot-more: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_boot_more.py $(PYTEST)

# Verbs killed at a thousand changes of files and more; KILL="--most 50 --seed 1 install" others,
# --fault: full, read-only, broken disks, orphans; --reordered: a fault that must be found
test-kill: setup
	@$(PYTHON) -m tests.kill $(KILL)

# Eight programs at once on one sysroot for two minutes; TOGETHER="--seed 2 --log FILE" others
.PHONY: test-together
test-together: setup
	@$(PYTHON) -m tests.together $(TOGETHER)

# Power taken away at flushes of a recorded disk; POWER="--on btrfs --without ostree uninstall" leaves out an fsync
.PHONY: test-power test-full test-filesystems
test-power: setup
	@$(PYTHON) -m tests.disks.power $(POWER)

# Filesystems filled to each level: bytes, inodes, /boot; read-only; FULL="--kind boot upgrade" one
test-full: setup
	@$(PYTHON) -m tests.disks.full $(FULL)

# The scenarios of the suite on ext4, xfs and btrfs; ON="--on xfs test_lifecycle" fewer
test-filesystems: setup
	@$(PYTHON) -m tests.disks.suite $(ON)

# What layering costs beside dnf, rpm and the classic way, on bases of 25k to 200k files: 15 minutes,
# and once as many to make the bases. QUICK=1: 25k and 50k, 2 minutes. README=1: into the README too
bench: setup
	@packaging/setup bench
	@$(PYTHON) -m tests.bench.cost $(if $(QUICK),--quick) $(if $(README),--readme) $(BENCH)

# Ansible's own modules against the program linked as rpm-ostree; fetches ansible-core and two collections
.PHONY: test-ansible
test-ansible: setup
	@$(PYTHON) -m pytest -n 0 -s -m 'slow or not slow' tests/test_ansible.py tests/test_rpm_ostree.py $(PYTEST)

# Inputs that nobody meant, for every parser, a minute each; FUZZ="--seconds 600 --seed 2 origin" others
# With atheris, which follows what is reached; where PyPI has none for this Python by mutation alone
.PHONY: fuzz
fuzz: setup
	@$(PYTHON) -c 'import atheris' 2>/dev/null || .venv/bin/pip install -q 'atheris>=3.0' || true
	@$(PYTHON) -m tests.fuzz $(FUZZ)

# The documentation, in build/docs/index.html
.PHONY: docs pictures tutorial test-docs
docs: setup
	@packaging/setup docs
	@.venv/bin/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs

# The pictures of docs/pictures from their texts; tests hold that they are up to date
pictures: setup
	@$(PYTHON) -m docs.making.pictures

# The tutorial on a fresh Debian, written down in docs/: minutes, and what Debian and PyPI serve
tutorial: setup
	@$(PYTHON) -m docs.making.tutorial

# Builds the documentation, and runs the tutorial and all other pages' commands
test-docs: setup
	@packaging/setup docs
	@$(PYTHON) -m pytest -n 0 -m 'slow or not slow' tests/test_docs.py tests/test_reference.py tests/test_how_to.py tests/test_examples.py tests/test_tutorial.py $(PYTEST)

# layer as RPM and Debian packages, in build/packages; `make test-packages` installs and uses both: minutes
.PHONY: packages test-packages
packages: setup
	@packaging/packages

test-packages: setup
	@$(PYTHON) -m pytest -n 0 -m 'slow or not slow' tests/test_packages.py $(PYTEST)

bench-import: setup
	@$(PYTHON) -m tests.bench.import $(BENCH)

bench-audit: setup
	@$(PYTHON) -m tests.bench.audit $(BENCH)

# A plan over all packages of Debian's index, beside dnf's; wants Debian's package dnf
bench-solve: setup
	@$(PYTHON) -m tests.bench.solve $(BENCH)

# How long help, completion and status take on a machine with a base of 200k files: goals 0.15 and 0.5 s
.PHONY: bench-face
bench-face: setup
	@$(PYTHON) -m tests.bench.face $(BENCH)

# What the program shows on a terminal, as pictures in docs/pictures; makes the demo where it is not there
.PHONY: screenshots
screenshots: setup
	@$(PYTHON) -m tests.screenshots

demo: setup
	@$(PYTHON) -m testdata.distro.demo $(if $(BOOT),--boot)

lint: setup
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

clean:
	rm -rf .venv build dist *.egg-info
