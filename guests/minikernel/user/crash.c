/* SPDX-License-Identifier: MIT */

/* What programs may do wrong. The kernel ends this one, says why, and nobody else notices. */

#include "guests/minikernel/user/user.h"

/* Where no program has anything: the kernel's text. */
#define WILD 0xffffffff80000000

static void crash_null(void)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

static volatile uint64_t depth;

static __attribute__((noinline)) uint64_t descend(uint64_t n)
{
	volatile char frame[1024];

	frame[0] = (char)n;
	depth = n;
	return n != UINT64_MAX ? descend(n + 1) + (uint64_t)frame[0] : n;
}

static void crash_stack(void)
{
	descend(0);
}

static void crash_illegal(void)
{
	__asm__ volatile("unimp");
}

static void crash_wild(void)
{
	((void (*)(void))WILD)();
}

static void crash_oom(void)
{
	volatile char *memory = (char *)sbrk((int64_t)MIB(512));

	for (uint64_t i = 0; i < MIB(512); i += PAGE_SIZE)
		memory[i] = 1;
	print("crash: this machine has too much memory for this\n");
}

static void crash_kernel(void)
{
	kernel_read((const void *)8);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*crash)(void);
	} ways[] = {{"null", crash_null}, {"stack", crash_stack}, {"illegal", crash_illegal},
		    {"wild", crash_wild}, {"oom", crash_oom},     {"kernel", crash_kernel}};

	for (uint32_t i = 0; argc == 2 && i < ARRAY_SIZE(ways); i++) {
		if (strcmp(argv[1], ways[i].name) == 0) {
			ways[i].crash();
			return 1;
		}
	}
	print("usage: crash null|stack|illegal|wild|oom|kernel\n");
	return 2;
}
