/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_UART_H
#define DRIVER_UART_H

/*
 * The host's console: the UART of stdout-path (a 16550 or one of its kind), else the firmware's
 * console. Input comes by interrupt, or by polling where there is none.
 */

#include "kernel/types.h"

/* `received` is called for each byte that comes in, on the boot hart, no lock held. */
void host_uart_init(void (*received)(uint8_t byte));

/*
 * Sends bytes; what the device does not take at once is sent when it can. Never waits: when
 * 64 KiB are waiting to be sent, more is dropped, and how much is told later. Any hart.
 */
void host_uart_write(const char *bytes, size_t count);

/*
 * For the end of the machine: sends what still waits, and then these bytes, by polling and
 * without locks. Gives up when the device takes nothing for a second.
 */
void host_uart_flush(void);
void host_uart_write_last(const char *bytes, size_t count);

#endif
