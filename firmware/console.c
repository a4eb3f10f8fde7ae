/* SPDX-License-Identifier: MIT */

#include "firmware/console.h"

#include "firmware/firmware.h"
#include "firmware/platform.h"
#include "riscv/hint.h"

#include <stdarg.h>

#define UART_DATA      0
#define UART_LSR       5
#define UART_LSR_READY 0x01
#define UART_LSR_EMPTY 0x20

static uint8_t uart_read(unsigned reg)
{
	uint64_t address = platform.uart + ((uint64_t)reg << platform.uart_shift);

	return platform.uart_wide ? (uint8_t)*(volatile uint32_t *)address
				  : *(volatile uint8_t *)address;
}

static void uart_write(unsigned reg, uint8_t value)
{
	uint64_t address = platform.uart + ((uint64_t)reg << platform.uart_shift);

	if (platform.uart_wide)
		*(volatile uint32_t *)address = value;
	else
		*(volatile uint8_t *)address = value;
}

bool console_try_put(uint8_t byte)
{
	if (!platform.uart)
		return true;
	if (!(uart_read(UART_LSR) & UART_LSR_EMPTY))
		return false;
	uart_write(UART_DATA, byte);
	return true;
}

void console_put(uint8_t byte)
{
	while (!console_try_put(byte)) {
		/* Others wait for this hart's fences meanwhile. */
		interrupts_serve(this_hart());
		cpu_pause();
	}
}

int console_get(void)
{
	if (!platform.uart || !(uart_read(UART_LSR) & UART_LSR_READY))
		return -1;
	return uart_read(UART_DATA);
}

static void print_number(uint64_t value, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		console_put((uint8_t)digits[--count]);
}

static void print_string(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			console_put('\r');
		console_put((uint8_t)*text);
	}
}

void console_print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		char plain[2] = {*format};

		if (*format != '%')
			print_string(plain);
		else if (*++format == 's')
			print_string(va_arg(args, const char *));
		else if (*format == 'u')
			print_number(va_arg(args, unsigned), 10);
		else
			print_number(va_arg(args, uint64_t), 16);
	}
	va_end(args);
}
