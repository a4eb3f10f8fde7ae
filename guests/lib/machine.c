/* SPDX-License-Identifier: MIT */
#include "guests/lib/machine.h"

#include "guests/lib/console.h"
#include "guests/lib/memory.h"
#include "guests/lib/sync.h"
#include "guests/lib/trap.h"
#include "guests/lib/tree.h"
#include "riscv/sbi.h"

#define SBI_IMPL_OPENSBI 1
#define SBI_IMPL_PILAE   0x50696c61

struct machine machine;
struct hart harts[HARTS_MAX] __section(".noinit");

extern char image_end[];

static uint64_t sbi_base(uint64_t function)
{
	return sbi_call(SBI_EXT_BASE, function, 0, 0, 0, 0, 0).value;
}

__noreturn void machine_shutdown(bool good)
{
	sbi_call(SBI_EXT_SRST, SBI_SRST_RESET, SBI_SRST_SHUTDOWN,
		 good ? SBI_SRST_REASON_NONE : SBI_SRST_REASON_FAILURE, 0, 0, 0);
	print_raw("guest: the machine did not shut down\n");
	for (;;)
		__asm__ volatile("wfi");
}

/* Single letters stand in front of the first underscore, after "rv64". */
bool machine_has(const char *extension)
{
	size_t length = strlen(extension);
	const char *s = machine.isa + 4;

	if (strlen(machine.isa) < 4)
		return false;
	if (length == 1) {
		for (; *s && *s != '_'; s++)
			if (*s == extension[0])
				return true;
		return false;
	}
	for (; *s; s++)
		if (*s == '_' && strncmp(s + 1, extension, length) == 0 &&
		    (s[length + 1] == '_' || s[length + 1] == 0))
			return true;
	return false;
}

bool machine_option(const char *name, char *value, size_t size)
{
	size_t length = strlen(name);

	for (const char *s = machine.bootargs; *s; s++) {
		if ((s != machine.bootargs && s[-1] != ' ') || strncmp(s, name, length) != 0 ||
		    s[length] != '=')
			continue;
		s += length + 1;
		for (; *s && *s != ' ' && size > 1; size--)
			*value++ = *s++;
		*value = 0;
		return true;
	}
	return false;
}

bool machine_lists(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (const char *s = list; *s; s++)
		if ((s == list || s[-1] == ',') && strncmp(s, name, length) == 0 &&
		    (s[length] == ',' || s[length] == 0))
			return true;
	return false;
}

uint64_t machine_number(const char *name, uint64_t otherwise)
{
	char text[24];
	uint64_t value = 0;

	if (!machine_option(name, text, sizeof(text)))
		return otherwise;
	for (const char *s = text; *s >= '0' && *s <= '9'; s++)
		value = value * 10 + (uint64_t)(*s - '0');
	return value;
}

void hart_init(struct hart *hart, uint64_t id)
{
	/* The stacks may stay as they are; clearing them would touch memory for nothing. */
	memset(hart, 0, offsetof(struct hart, trap_area));
	hart->id = id;
	hart->stack_top = (uint64_t)(hart->stack + HART_STACK_SIZE);
	hart->frame = (uint64_t)(hart->trap_area + sizeof(hart->trap_area) - TRAP_FRAME_SIZE);
}

__noreturn void hart_main(struct hart *hart)
{
	hart->work(hart->argument);
	csr_write(CSR_SIE, 0);
	__atomic_store_n(&hart->done, true, __ATOMIC_RELEASE);
	sbi_call(SBI_EXT_HSM, SBI_HSM_HART_STOP, 0, 0, 0, 0, 0);
	print_raw("guest: hart %lu did not stop\n", hart->id);
	for (;;)
		__asm__ volatile("wfi");
}

int64_t hart_run(size_t index, void (*work)(void *argument), void *argument)
{
	struct hart *hart = &harts[index];

	hart_init(hart, hart->id);
	hart->work = work;
	hart->argument = argument;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return sbi_call(SBI_EXT_HSM, SBI_HSM_HART_START, hart->id, (uint64_t)hart_entry,
			(uint64_t)hart, 0, 0)
	    .error;
}

int64_t hart_status(size_t index)
{
	struct sbi_ret ret =
	    sbi_call(SBI_EXT_HSM, SBI_HSM_HART_GET_STATUS, harts[index].id, 0, 0, 0, 0);

	return ret.error ? ret.error : (int64_t)ret.value;
}

bool hart_join(size_t index, uint64_t timeout_ms)
{
	return wait_until(__atomic_load_n(&harts[index].done, __ATOMIC_ACQUIRE) &&
			      hart_status(index) == SBI_HSM_STOPPED,
			  timeout_ms);
}

__noreturn void guest_start(uint64_t hart_id, const void *tree)
{
	hart_init(&harts[0], hart_id);
	__asm__ volatile("mv tp, %0" ::"r"(&harts[0]));
	csr_write(CSR_SSCRATCH, &harts[0]);
	csr_write(CSR_STVEC, trap_entry);
	machine.hart_count = 1;
	machine.timebase = 10000000;
	console_init();
	tree_read(tree);
	machine.sbi_version = sbi_base(SBI_BASE_GET_SPEC_VERSION);
	machine.sbi_impl = sbi_base(SBI_BASE_GET_IMPL_ID);
	machine.sbi_impl_version = sbi_base(SBI_BASE_GET_IMPL_VERSION);
	machine.opensbi = machine.sbi_impl == SBI_IMPL_OPENSBI;
	machine.native = machine.sbi_impl != SBI_IMPL_PILAE;
	machine.heap = align_up((uint64_t)image_end, PAGE_SIZE);
	machine.heap_end = machine.ram_base + machine.ram_size;
	guest_main();
	machine_shutdown(true);
}
