# Thin wrapper around CMake and its presets. `make help` lists what there is.

PRESET ?= release
JOBS ?= 2
EVENTS ?= 10000000
PREFIX ?= /usr/local
BUILD := build/$(PRESET)

.PHONY: build deps check-deps run test bench bench-quick bench-scale install format check-format clean help

build: check-deps  ## build the library and the command (release)
	@cmake --preset $(PRESET) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@cmake --build --preset $(PRESET)

check-deps:
	@mkdir -p build
	@scripts/bootstrap --check

deps:  ## install the packages that are missing
	@scripts/bootstrap

run: deps  ## build, then run the example pipeline from start to finish
	@$(MAKE) --no-print-directory build
	@RATOON="$(CURDIR)/$(BUILD)/ratoon" examples/compile/demo.sh

test: deps  ## build and run all tests
	@$(MAKE) --no-print-directory build
	@ctest --preset $(PRESET) -j$(JOBS)

bench: deps  ## all benchmarks at full size, with their peers: bench/results (30 minutes)
	@bench/packages
	@$(MAKE) --no-print-directory build
	@bench/run --build "$(CURDIR)/$(BUILD)" $(BENCH)

bench-quick:  ## the same with less of everything (8 minutes)
	@$(MAKE) --no-print-directory bench BENCH="--quick $(BENCH)"

bench-scale:  ## only the large store (10 M events); EVENTS=100000000 for a larger one
	@$(MAKE) --no-print-directory bench \
	    BENCH="--only scale --events $(EVENTS) --out $(BUILD)/bench/scale $(BENCH)"

install: build  ## install to PREFIX (default /usr/local), below DESTDIR if set
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

format:  ## rewrite our C and C++ files with clang-format 14
	@scripts/format

check-format:  ## fail if a file is not formatted
	@scripts/format --check

clean:  ## remove everything that was built
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/make \1\t/p' Makefile | expand -t 20
