/* SPDX-License-Identifier: MIT */

/* Checks of memory: what is zero, what is shared, what grows, and what must not be touched. */

#include "guests/minikernel/user/selfcheck.h"
#include "guests/minikernel/user/user.h"

#define KERNEL_ADDRESS 0xffffffff80000000
#define STORE_FAULT    (STATUS_FAULT + 15)
#define LOAD_FAULT     (STATUS_FAULT + 13)
#define FETCH_FAULT    (STATUS_FAULT + 12)
#define ILLEGAL        (STATUS_FAULT + 2)

static volatile uint64_t data_word = 0x1234;
static volatile uint64_t bss_words[2 * PAGE_SIZE / 8];
static const uint64_t constant = 0x5678;

static bool all_zero(const char *from, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (from[i] != 0)
			return false;
	return true;
}

static const char *heap(void)
{
	uint64_t size = 16 * PAGE_SIZE;
	char *memory = (char *)sbrk((int64_t)size);

	if (!all_zero(memory, size))
		return "new memory is not zero";
	for (uint64_t i = 0; i < size; i += 8)
		*(uint64_t *)(memory + i) = i;
	for (uint64_t i = 0; i < size; i += 8)
		if (*(uint64_t *)(memory + i) != i)
			return "it does not keep what is written";
	if (sbrk(-(int64_t)size) != (int64_t)(memory + size))
		return "sbrk does not tell the former end";
	if (sbrk((int64_t)size) != (int64_t)memory || !all_zero(memory, size))
		return "memory given back and taken again is not zero";
	if (sbrk(INT64_MAX) != ERR_NOMEM || sbrk(INT64_MIN) >= 0)
		return "sbrk accepts anything";
	return NULL;
}

static const char *data_and_bss(void)
{
	if (data_word != 0x1234 || *(const volatile uint64_t *)&constant != 0x5678)
		return "data is not what the program's file says";
	if (!all_zero((const char *)bss_words, sizeof(bss_words)))
		return ".bss is not zero";
	data_word = 1;
	bss_words[PAGE_SIZE / 8] = 1;
	return data_word == 1 && bss_words[PAGE_SIZE / 8] == 1 ? NULL : "data cannot be written";
}

/* Somewhat more than 1 KiB a step. */
static __attribute__((noinline)) uint64_t use_stack(uint64_t steps)
{
	volatile uint64_t frame[1024 / 8];

	frame[0] = steps;
	frame[ARRAY_SIZE(frame) - 1] = steps;
	if (steps != 0 && use_stack(steps - 1) != steps - 1)
		return UINT64_MAX;
	return frame[0] == frame[ARRAY_SIZE(frame) - 1] ? frame[0] : UINT64_MAX;
}

static const char *stack_growth(void)
{
	return use_stack(700) == 700 ? NULL : "the stack does not keep what is written";
}

static void overflow_stack(void)
{
	use_stack(2000);
}

static const char *stack_limit(void)
{
	return status_of(overflow_stack) == STORE_FAULT ? NULL : "a stack of 2 MiB is not an error";
}

/* Three generations write to the same pages, each in its own. */
static const char *copy_on_write(void)
{
	volatile uint64_t *words = (uint64_t *)sbrk((int64_t)(8 * PAGE_SIZE));
	const uint64_t step = PAGE_SIZE / 8, end = 8 * step;
	uint64_t generation = 0;
	int64_t child;
	int status;

	for (uint64_t i = 0; i < end; i += step)
		words[i] = i;
	do
		child = fork();
	while (child == 0 && ++generation < 3);
	if (child < 0)
		return "fork fails";
	for (uint64_t i = 0; i < end; i += step)
		words[i] += 1000 * (generation + 1);
	if (child > 0 && (wait(child, &status, 0) != child || status != 0))
		return "a child sees its parent's memory";
	for (uint64_t i = 0; i < end; i += step)
		if (words[i] != i + 1000 * (generation + 1))
			return "a parent sees its child's memory";
	return NULL;
}

/* After each fork, parent and child write at once, and may be moved to another hart. */
static const char *copy_and_move(void)
{
	volatile uint64_t *word = (uint64_t *)sbrk((int64_t)PAGE_SIZE);

	for (uint64_t i = 1; i <= 100; i++) {
		int64_t child;
		int status = 0;

		*word = i;
		child = fork();
		if (child == 0) {
			bool right = *word == i;

			*word = ~i;
			yield();
			exit(right && *word == ~i ? 0 : 1);
		}
		*word = i + 1000;
		yield();
		if (*word != i + 1000)
			return "the parent finds an old page";
		if (child < 0 || wait(child, &status, 0) != child || status != 0)
			return "the child finds a wrong page";
		if (*word != i + 1000)
			return "the parent finds the child's page";
	}
	return NULL;
}

/* What a program may not do, each in a child. */

static __attribute__((noinline)) void store(uint64_t address)
{
	*(volatile uint8_t *)address = 1;
}

static __attribute__((noinline)) void load(uint64_t address)
{
	(void)*(volatile uint8_t *)address;
}

static __attribute__((noinline)) void jump(uint64_t address)
{
	((void (*)(void))address)();
}

static void store_null(void)
{
	store(0);
}

static void load_null(void)
{
	load(8);
}

static void call_null(void)
{
	jump(0);
}

static void store_text(void)
{
	store((uint64_t)main);
}

static void store_constant(void)
{
	store((uint64_t)&constant);
}

static void call_data(void)
{
	bss_words[0] = 0x8082; /* c.ret */
	__asm__ volatile("fence.i");
	jump((uint64_t)bss_words);
}

static void load_kernel(void)
{
	load(KERNEL_ADDRESS);
}

static void store_kernel(void)
{
	store(KERNEL_ADDRESS);
}

static void call_kernel(void)
{
	jump(KERNEL_ADDRESS);
}

static void load_not_canonical(void)
{
	load(UINT64_C(1) << 50);
}

static void load_past_heap(void)
{
	load((uint64_t)sbrk(0) + PAGE_SIZE);
}

static void read_sstatus(void)
{
	__asm__ volatile("csrr t0, sstatus" ::: "t0");
}

static void write_satp(void)
{
	__asm__ volatile("csrw satp, zero");
}

static void fence_vma(void)
{
	__asm__ volatile("sfence.vma");
}

static void return_from_trap(void)
{
	__asm__ volatile("sret");
}

static void add_floats(void)
{
	__asm__ volatile(".word 0x02007053"); /* fadd.d f0, f0, f0: FS is Off */
}

static void break_point(void)
{
	__asm__ volatile("ebreak");
}

static const char *faults(void)
{
	static const struct {
		void (*body)(void);
		int status;
		const char *otherwise;
	} cases[] = {
	    {store_null, STORE_FAULT, "a store to address 0"},
	    {load_null, LOAD_FAULT, "a load from address 8"},
	    {call_null, FETCH_FAULT, "a jump to address 0"},
	    {store_text, STORE_FAULT, "a store to text"},
	    {store_constant, STORE_FAULT, "a store to a constant"},
	    {call_data, FETCH_FAULT, "a jump to data"},
	    {load_kernel, LOAD_FAULT, "a load from the kernel"},
	    {store_kernel, STORE_FAULT, "a store to the kernel"},
	    {call_kernel, FETCH_FAULT, "a jump to the kernel"},
	    {load_not_canonical, LOAD_FAULT, "a load from no canonical address"},
	    {load_past_heap, LOAD_FAULT, "a load beyond the heap"},
	    {read_sstatus, ILLEGAL, "reading sstatus"},
	    {write_satp, ILLEGAL, "writing satp"},
	    {fence_vma, ILLEGAL, "sfence.vma"},
	    {return_from_trap, ILLEGAL, "sret"},
	    {add_floats, ILLEGAL, "floating point"},
	    {break_point, STATUS_FAULT + 3, "ebreak"},
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (status_of(cases[i].body) != cases[i].status)
			return cases[i].otherwise;
	return NULL;
}

/* What a system call makes of bad pointers: an error, not a fault of the program or worse. */
static const char *bad_pointers(void)
{
	if (write((void *)KERNEL_ADDRESS, 8) != ERR_FAULT || write(NULL, 8) != ERR_FAULT)
		return "write() reads what the program may not";
	if (write((void *)-UINT64_C(4), 8) != ERR_FAULT)
		return "write() does not see that a range wraps";
	if (wait(0, (int *)KERNEL_ADDRESS, 1) != ERR_NOENT)
		return "wait() without children";
	if (system_info((void *)(uintptr_t)&constant) != ERR_FAULT ||
	    processes((void *)(uintptr_t)main, 1) != ERR_FAULT)
		return "the kernel writes to read-only memory";
	if (exec((char *)KERNEL_ADDRESS, NULL) != ERR_FAULT || exec("sh", NULL) != ERR_FAULT)
		return "exec() reads what the program may not";
	if (no_such_call() != ERR_NOSYS)
		return "an unknown call is not an error";
	return NULL;
}

const struct check memory_checks[] = {
    {"heap", heap},
    {"data_and_bss", data_and_bss},
    {"stack_growth", stack_growth},
    {"stack_limit", stack_limit},
    {"copy_on_write", copy_on_write},
    {"copy_and_move", copy_and_move},
    {"faults", faults},
    {"bad_pointers", bad_pointers},
};
const unsigned memory_check_count = ARRAY_SIZE(memory_checks);
