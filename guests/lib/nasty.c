/* SPDX-License-Identifier: MIT */
#include "guests/lib/nasty.h"

#include "guests/lib/machine.h"
#include "guests/lib/sync.h"
#include "riscv/sbi.h"

uint64_t nasty_value(uint64_t *random)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  3,
					  7,
					  8,
					  31,
					  63,
					  64,
					  95,
					  96,
					  0xff,
					  0x222,
					  0xfff,
					  0x1000,
					  0x7fffffff,
					  0x80000000,
					  0xffffffff,
					  BIT(32),
					  BIT(38),
					  BIT(39),
					  BIT(47),
					  BIT(56),
					  BIT(62),
					  BIT(63),
					  BIT(63) - 1,
					  ~UINT64_C(0),
					  ~UINT64_C(0) - 0xfff,
					  UART_BASE,
					  PLIC_BASE,
					  NOWHERE};
	uint64_t r = random_next(random);

	switch (r & 3) {
	case 0:
		return random_next(random);
	case 1:
		return random_next(random) >> (r >> 8 & 63);
	default:
		return values[(r >> 8) % ARRAY_SIZE(values)];
	}
}

uint32_t nasty_extension(uint64_t *random)
{
	static const uint32_t extensions[] = {SBI_EXT_SET_TIMER,
					      SBI_EXT_CONSOLE_PUTCHAR,
					      SBI_EXT_CONSOLE_GETCHAR,
					      SBI_EXT_CLEAR_IPI,
					      SBI_EXT_SEND_IPI,
					      SBI_EXT_REMOTE_FENCE_I,
					      SBI_EXT_REMOTE_SFENCE_VMA,
					      SBI_EXT_REMOTE_SFENCE_VMA_ASID,
					      SBI_EXT_SHUTDOWN,
					      SBI_EXT_BASE,
					      SBI_EXT_TIME,
					      SBI_EXT_IPI,
					      SBI_EXT_RFENCE,
					      SBI_EXT_RFENCE,
					      SBI_EXT_HSM,
					      SBI_EXT_SRST,
					      SBI_EXT_PMU,
					      SBI_EXT_DBCN,
					      SBI_EXT_SUSP,
					      SBI_EXT_CPPC,
					      SBI_EXT_NACL,
					      SBI_EXT_STA,
					      SBI_EXT_SSE,
					      SBI_EXT_FWFT,
					      SBI_EXT_DBTR,
					      SBI_EXT_MPXY,
					      0x09,
					      0x0f,
					      0x11,
					      0x08ffffff, /* experimental, vendor's, firmware's */
					      0x09000000,
					      0x0abcdef0,
					      0x12345678,
					      0xdeadbeef};

	return extensions[(random_next(random) >> 11) % ARRAY_SIZE(extensions)];
}
