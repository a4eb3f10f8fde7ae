# SPDX-License-Identifier: MIT
# `make help` tells what can be made. The rules are in mk/.

MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash

B := build
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pilae
PYTHON := /usr/bin/python3
# Where tools/deps puts a QEMU of our own.
export PATH := $(CACHE)/qemu/bin:$(PATH)

# $(call say,WORD,FILE) begins a recipe's command, and shows that instead of it.
ifeq ($(V),1)
say =
else
say = @printf '  %-8s %s\n' '$(1)' '$(patsubst $(B)/%,%,$(2))';
endif

goals := $(or $(MAKECMDGOALS),all)
building := $(filter-out clean help deps,$(goals))

# `make clean all`: what is read from build/ below must not be from before.
ifneq ($(and $(building),$(filter clean,$(goals))),)
$(shell rm -rf $(B))
endif

ifneq ($(building),)
ifneq ($(shell tools/deps $(building) >&2 || echo failed),)
$(error the packages that are needed are not all there (see above))
endif
endif

# $(call keep,FILE,TEXT): FILE holds TEXT, and is written only when the text changes.
keep = $(if $(building),$(shell mkdir -p $(dir $(1)); \
	printf '%s\n' '$(2)' | cmp -s - $(1) || printf '%s\n' '$(2)' > $(1)))

.PHONY: all run gdb bench bench-check deps clean help
all: $(B)/pilae.elf $(B)/pilae.bin

include mk/hypervisor.mk
include mk/guests.mk
include mk/tests.mk
include mk/lint.mk
-include $(wildcard firmware/build.mk)

all: guests systems

run: $(B)/pilae.bin $(run_needs)
	@tools/run

gdb: $(B)/pilae.bin $(B)/pilae.elf $(run_needs)
	@tools/run --gdb

# BENCH: parts, all if there are none; micro is quick.
bench_needs := $(if $(or $(filter stress,$(BENCH)),$(if $(BENCH),,all)),$(linux_bench))

bench: all $(bench_needs)
	@bench/run $(BENCH)

bench-check: all $(bench_needs)
	@bench/run --compare $(BENCH)

deps:
	@tools/deps

clean:
	$(if $(building),,rm -rf $(B))

help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

#: make            build everything into build/
#: make run        boot a system in QEMU. Variables, with their defaults:
#:                   SYSTEM=examples/demo.its   the system (.its source, or an .itb)
#:                   ENGINE=auto                auto, hext or soft
#:                   SMP=4 MEM=2G               harts and RAM of the machine
#:                   FIRMWARE=opensbi           opensbi, or own (Pilae's machine-mode firmware)
#:                   APPEND=                    more words for Pilae's command line
#:                   CPU=rv64,h=true            QEMU's -cpu
#:                   ICOUNT=                    QEMU's -icount; 1 is shift=0,sleep=off
#:                   QEMU= QEMUFLAGS=           another QEMU, more options for it
#: make gdb        the same, stopped, with gdb attached to the hypervisor
#: make test       all tests; PYTESTFLAGS='-k NAME' chooses system tests, UNIT=NAME unit tests
#: make unit       the unit tests alone
#: make coverage   what the unit tests reach, also as HTML in build/coverage
#: make reach      which lines the system tests reach, and those that no test does
#: make soak       the long system tests
#: make mutations  breaks a copy of the tree, a mistake at a time: tests have to notice
#: make fuzz       the fuzzers: TARGET=NAME one of them, SECONDS=60 each; -j2 two at a time
#: make fuzz-replay  what they are to begin with, once
#: make bench      the benchmarks, against the same work run natively; BENCH='micro scale' parts
#: make bench-check  the same, against the results in bench/results.json
#: make lint       clang-format (check), clang-tidy, cppcheck, shellcheck, pyflakes
#: make format     lets clang-format write
#: make debian     the disk with Debian, for systems that need it; they do so first
#: make deps       install and fetch what is missing; every target above does so first
#: make clean      remove build/ (what was downloaded is kept in ~/.cache/pilae)
#:
#: V=1 shows the commands. EXTRA_CFLAGS= adds compiler flags.
