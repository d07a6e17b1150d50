# make demo | bench-digits | bench-gsnr | bench-diffkd | bench-speed | test |
#      lint | env | clean
#
# Each sets up what it needs first: .venv, made on the first call. With
# PYTHON=/path/to/python an existing OpenMMLab environment is used instead;
# nothing is installed into it, this checkout is put on its path.
STACK ?= modern
# exec: a terminated make then terminates the set-up, not a shell around it.
SETUP := exec env PYTHON='$(PYTHON)' tools/setup_env.sh --stack '$(STACK)'

ifeq ($(PYTHON),)
RUN := .venv$(if $(filter-out modern,$(STACK)),-$(STACK))/bin/python
else
RUN := $(PYTHON)
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
endif

.PHONY: demo bench-digits bench-gsnr bench-diffkd bench-speed test lint env \
    clean

demo:
	@$(SETUP) runtime
	@$(RUN) tools/demo.py

# About 50 minutes on two cores; continues where it stopped.
bench-digits:
	@$(SETUP) bench
	@$(RUN) tools/bench_digits.py

# About 30 minutes on two cores; continues where it stopped.
bench-gsnr:
	@$(SETUP) both
	@$(RUN) tools/bench_gsnr.py

# About an hour and a half on two cores; continues where it stopped.
bench-diffkd:
	@$(SETUP) both
	@$(RUN) tools/bench_diffkd.py

# Wants two cores that do nothing else; the sections took 0.1 to 10 minutes.
bench-speed:
	@$(SETUP) both
	@$(RUN) tools/analysis/benchmark.py all $(ARGS)

# One thread each: two processes on two cores, and the same sums every time.
test:
	@$(SETUP) tests
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile $(ARGS)

lint:
	@$(SETUP) lint
	@$(RUN) -m ruff check
	@$(RUN) -m mypy
	@$(RUN) -m codespell_lib

env:
	@$(SETUP) tests

# Leaves .venv, data/ and work_dirs/ alone: they cost minutes to hours.
clean:
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o -name __pycache__ -type d \
	    -exec rm -rf {} +
