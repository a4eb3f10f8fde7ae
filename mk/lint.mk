# SPDX-License-Identifier: MIT
# clang-format, shellcheck and pyflakes over all of the tree; clang-tidy and cppcheck over the
# hypervisor and the firmware, a file at a time, so that only what has changed is looked at again.

lint_dirs := $(src_dirs) firmware guests guests/* tests/unit tests/fuzz tests/reach
format_src := $(sort $(wildcard $(foreach d,$(lint_dirs) guests/*/*,$(d)/*.c $(d)/*.h)))
lint_headers := $(wildcard $(addsuffix /*.h,$(src_dirs) firmware))
lint_c := $(hv_c) $(wildcard firmware/*.c)

PICOLIBC_INCLUDE := /usr/lib/picolibc/riscv64-unknown-elf/include
TIDY_FLAGS := --target=riscv64-unknown-elf -march=rv64imac -mabi=lp64 -std=gnu17 -ffreestanding \
	-nostdlibinc -isystem $(PICOLIBC_INCLUDE) $(HV_INCLUDES)

# comparePointers: the linker's symbols of one section are separate objects to it.
# internalAstError, constStatement: it does not understand every statement expression, nor
# variables that are bound to registers.
CPPCHECK_FLAGS := --quiet --error-exitcode=1 --std=c11 --platform=unix64 --inline-suppr \
	--enable=warning,portability --suppress=missingIncludeSystem --suppress=comparePointers \
	--suppress=internalAstError --suppress=constStatement -D__riscv -D__riscv_xlen=64 -D__GNUC__ -I.
LINT_JOBS ?= $(shell nproc)

scripts := $(wildcard .ci/* tools/* bench/* guests/* guests/*/* guests/*/*/* tests/*/*)
shell_scripts := $(shell grep -slE '^\#!/bin/(ba)?sh' $(scripts))
python_scripts := $(sort $(filter %.py,$(scripts)) $(shell grep -sl '^\#!/usr/bin/python3' $(scripts)))

.PHONY: lint format lint-format lint-scripts lint-checks
lint:
	@$(MAKE) -k -j$(LINT_JOBS) --output-sync=target lint-format lint-scripts lint-checks

# SC2013: the words of a line are read, /proc/cmdline's.
lint-scripts:
	$(call say,SHELL,$(words $(shell_scripts)) files)shellcheck -e SC2013 $(shell_scripts)
	$(call say,PYFLAKES,$(words $(python_scripts)) files)pyflakes3 $(python_scripts)

lint-format:
	$(call say,FORMAT,$(words $(format_src)) files)clang-format-19 --dry-run -Werror $(format_src)

format:
	clang-format-19 -i $(format_src)

lint-checks: $(lint_c:%.c=$(B)/lint/%.tidy) $(lint_c:%.c=$(B)/lint/%.cppcheck)

$(B)/lint/%.tidy: %.c .clang-tidy $(lint_headers)
	@mkdir -p $(@D)
	$(call say,TIDY,$<)clang-tidy-19 --quiet $< -- $(TIDY_FLAGS) 2>$@.log || { cat $@.log; false; }
	@touch $@

$(B)/lint/%.cppcheck: %.c $(lint_headers)
	@mkdir -p $(@D)
	$(call say,CPPCHECK,$<)cppcheck $(CPPCHECK_FLAGS) $<
	@touch $@
