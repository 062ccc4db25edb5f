# Thin wrapper around CMake and its presets. `make help` lists what there is.

PRESET ?= release
JOBS ?= 2
PREFIX ?= /usr/local
BUILD := build/$(PRESET)

.PHONY: build deps check-deps run test bench install format check-format clean help

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

bench: deps  ## build and run the benchmarks at full size
	@$(MAKE) --no-print-directory build
	@set -e; for b in $(BUILD)/bench/*_bench; do [ -x "$$b" ] || continue; echo "== $$b"; "$$b"; done

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
