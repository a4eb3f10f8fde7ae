/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_UART_H
#define DRIVER_UART_H

/*
 * The host's console: the UART of stdout-path (a 16550 or one of its kind), else the firmware's
 * console. Input comes by interrupt, or by polling where there is none. Output is fetched from
 * its user a little at a time, so that what is to be sent next is decided late.
 */

#include "kernel/types.h"

/* All are called on the boot hart, interrupts off, no lock held. */
struct host_uart_user {
	bool (*ready)(void); /* whether a byte can be taken; else it stays in the UART */
	void (*receive)(uint8_t byte);
	void (*fill)(void); /* there is room: host_uart_write(), as long as there is some */
};

void host_uart_init(const struct host_uart_user *user);

/* How many bytes host_uart_write() has room for. It only grows until the caller writes. */
unsigned host_uart_room(void);

/*
 * Sends bytes; what the device does not take at once is sent when it can. Never waits: what there
 * is no room for is lost. Any hart, one caller at a time.
 */
void host_uart_write(const char *bytes, size_t count);

/* There is more to be sent: lets `fill` be called soon. Any hart; takes the UART's lock. */
void host_uart_continue(void);

/* Whether `fill` will be called without that. */
bool host_uart_is_busy(void);

/*
 * For the end of the machine: sends what still waits, and then these bytes, by polling and
 * without locks. Gives up when the device takes nothing for a second.
 */
void host_uart_flush(void);
void host_uart_write_last(const char *bytes, size_t count);

#endif
