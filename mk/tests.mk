# SPDX-License-Identifier: MIT
# Unit tests and fuzzers on the host, system tests in QEMU.
#
# The second line of tests/unit/test_NAME.c or tests/fuzz/fuzz_NAME.c names the sources that it is
# linked with, and a third line may name libraries:
#     /* unit: device/plic.c vmm/bus.c */
#     /* libs: -lfdt */

HOST_CC ?= gcc
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS := -std=gnu17 -O1 -g -fno-omit-frame-pointer -I. -DPILAE_HOST $(WARNINGS) \
	$(EXTRA_CFLAGS)
host_cflags_file := $(B)/gen/host.cflags
$(call keep,$(host_cflags_file),$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE))

unit_src := $(sort $(wildcard tests/unit/test_*.c))
UNIT ?= %
unit_bin := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(filter tests/unit/test_$(UNIT).c,$(unit_src)))

# $(call unit_sources,FILE) and $(call unit_libs,FILE): what its comments say.
unit_sources = $(shell sed -n '2s|^/\* unit:\(.*\)\*/.*|\1|p' $(1))
unit_libs = $(shell sed -n '3s|^/\* libs:\(.*\)\*/.*|\1|p' $(1))

define unit_rule
$(1)_objs := $$(patsubst %.c,$(B)/host/%.o,$(1) $(call unit_sources,$(1)))
$(B)/$(1:.c=): $$($(1)_objs)
	@mkdir -p $$(@D)
	$$(call say,HOSTLD,$$@)$(HOST_CC) $(SANITIZE) -o $$@ $$^ -lcmocka $(call unit_libs,$(1))
host_objs += $$($(1)_objs)
endef
$(foreach t,$(unit_src),$(eval $(call unit_rule,$(t))))

$(B)/host/%.o: %.c $(host_cflags_file)
	@mkdir -p $(@D)
	$(call say,HOSTCC,$@)$(HOST_CC) $(HOST_CFLAGS) $(SANITIZE) -MMD -MP -c $< -o $@

-include $(patsubst %.o,%.d,$(sort $(host_objs)))

# Each program prints cmocka's summary. All run, even when one fails.
run_unit = status=0; for t in $(unit_bin); do $$t || { echo "$$t: failed"; status=1; }; done
# Two processes: many tests leave a hart idle. PYTESTFLAGS=-n0 is for looking at one.
run_system = PILAE_BUILD=$(B) $(PYTHON) -m pytest -n 2 tests/tools tests/system $(PYTESTFLAGS)

# What of the code the unit tests reach: the same programs, built to count. `tools/coverage` tells.

cov_bin := $(unit_src:tests/unit/%.c=$(B)/coverage/bin/%)
cov_flags := -O0 --coverage -fprofile-update=atomic

define cov_rule
$(1)_cov := $$(patsubst %.c,$(B)/coverage/obj/%.o,$(1) $(call unit_sources,$(1)))
$(B)/coverage/bin/$(notdir $(1:.c=)): $$($(1)_cov)
	@mkdir -p $$(@D)
	$$(call say,COVLD,$$@)$(HOST_CC) --coverage -o $$@ $$^ -lcmocka $(call unit_libs,$(1))
cov_objs += $$($(1)_cov)
endef
$(foreach t,$(unit_src),$(eval $(call cov_rule,$(t))))

$(B)/coverage/obj/%.o: %.c $(host_cflags_file)
	@mkdir -p $(@D)
	$(call say,COVCC,$@)$(HOST_CC) $(HOST_CFLAGS) $(cov_flags) -MMD -MP -c $< -o $@

-include $(patsubst %.o,%.d,$(sort $(cov_objs)))

.PHONY: coverage
coverage: $(cov_bin)
	@find $(B)/coverage -name '*.gcda' -delete
	@for t in $^; do $$t >$$t.log 2>&1 || { cat $$t.log; echo "$$t: failed"; exit 1; }; done
	@tools/coverage $(B) $(sort $(hv_c) $(wildcard firmware/*.c))

# And what of it the system tests reach, as a plugin of QEMU's writes down.

reach_so := $(B)/tests/reach.so

$(reach_so): tests/reach/plugin.c
	@mkdir -p $(@D)
	$(call say,HOSTLD,$@)$(HOST_CC) -std=gnu17 -O2 $(WARNINGS) -shared -fPIC -fvisibility=hidden \
		-o $@ $<

.PHONY: reach
reach: all debian $(reach_so)
	@rm -f $(B)/*.reach $(B)/*/*.reach
	@PILAE_REACH=$(abspath $(reach_so)) $(run_system); status=$$?; \
		tools/reach $(B) $(B)/pilae.elf $(B)/firmware.elf $(B)/*/pilae.elf || status=1; exit $$status

.PHONY: unit test soak
unit: $(if $(unit_bin),$(unit_bin),no-such-unit-test)
	@$(run_unit); exit $$status

test: all debian $(unit_bin)
	@$(run_unit); $(run_system) || status=1; exit $$status

soak: all debian
	@$(run_system) --soak; status=$$?; tests/mutations || status=1; exit $$status

# Mistakes made on purpose, each of which a test has to notice.
.PHONY: mutations
mutations: all $(unit_bin)
	@tests/mutations

# Fuzzers, with the same two comments.

FUZZ_CC ?= clang-19
SECONDS := $(if $(filter command line environment,$(origin SECONDS)),$(SECONDS),60)
fuzz_src := $(sort $(wildcard tests/fuzz/fuzz_*.c))
TARGET ?= %
fuzz_bin := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(filter tests/fuzz/fuzz_$(TARGET).c,$(fuzz_src)))

define fuzz_rule
$(1)_objs := $$(patsubst %.c,$(B)/fuzz/%.o,$(1) $(call unit_sources,$(1)))
$(B)/$(1:.c=): $$($(1)_objs)
	@mkdir -p $$(@D)
	$$(call say,FUZZLD,$$@)$(FUZZ_CC) -fsanitize=fuzzer $(SANITIZE) -o $$@ $$^ $(call unit_libs,$(1))
fuzz_objs += $$($(1)_objs)
endef
$(foreach t,$(fuzz_src),$(eval $(call fuzz_rule,$(t))))

$(B)/fuzz/%.o: %.c $(host_cflags_file)
	@mkdir -p $(@D)
	$(call say,FUZZCC,$@)$(FUZZ_CC) $(HOST_CFLAGS) -fsanitize=fuzzer-no-link $(SANITIZE) -MMD -MP \
		-c $< -o $@

-include $(patsubst %.o,%.d,$(sort $(fuzz_objs)))

# Each goes on from the inputs of tests/fuzz/corpus and those it has found before. What one says goes to
# a file when there are several; `make -j2 fuzz` runs two at a time.

fuzz_names := $(fuzz_bin:$(B)/tests/fuzz/fuzz_%=%)
fuzz_corpus = $(wildcard tests/fuzz/corpus/$(1))

.PHONY: fuzz fuzz-replay
fuzz fuzz-replay: $(if $(fuzz_names),,no-such-fuzzer)
no-such-fuzzer:
	@echo 'have: $(or $(patsubst tests/fuzz/fuzz_%.c,%,$(fuzz_src)),none)'; false

fuzz: $(fuzz_names:%=fuzz-of-%)
fuzz-of-%: $(B)/tests/fuzz/fuzz_%
	@mkdir -p $(B)/fuzz/corpus/$*
	$(call say,FUZZ,$* $(SECONDS) s)$< -max_total_time=$(SECONDS) -artifact_prefix=$(B)/fuzz/$*- \
		$(B)/fuzz/corpus/$* $(call fuzz_corpus,$*) \
		$(if $(word 2,$(fuzz_names)),>$(B)/fuzz/$*.log 2>&1 || { tail -n 60 $(B)/fuzz/$*.log; false; })

# Every input that is kept, once: a fuzzer without any is an error.
fuzz-replay: $(fuzz_names:%=fuzz-replay-of-%)
fuzz-replay-of-%: $(B)/tests/fuzz/fuzz_%
	@mkdir -p $(B)/fuzz
	$(call say,REPLAY,$*)$< -runs=0 -artifact_prefix=$(B)/fuzz/$*- tests/fuzz/corpus/$* \
		>$(B)/fuzz/$*-replay.log 2>&1 || { tail -n 60 $(B)/fuzz/$*-replay.log; false; }
