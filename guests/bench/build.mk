# SPDX-License-Identifier: MIT
BENCH_OBJECTS := $(patsubst guests/bench/%,build/guests/bench/%.o, \
	$(wildcard guests/bench/*.c guests/bench/*.S))

build/guests/bench.elf: $(BENCH_OBJECTS) $(GUEST_LIB_OBJECTS) guests/lib/guest.ld
	$(GUEST_LINK)

GUESTS += build/guests/bench.elf
-include $(BENCH_OBJECTS:.o=.d)
