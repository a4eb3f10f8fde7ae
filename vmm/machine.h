/* SPDX-License-Identifier: MIT */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

/* The guest's machine: where QEMU's `virt` has its devices, and by which interrupt. */

#define MACHINE_TEST_BASE     0x100000
#define MACHINE_TEST_SIZE     0x1000
#define MACHINE_TEST_POWEROFF 0x5555 /* written to the finisher's first word */
#define MACHINE_TEST_REBOOT   0x7777

#define MACHINE_RTC_BASE 0x101000
#define MACHINE_RTC_SIZE 0x1000
#define MACHINE_RTC_IRQ  11

/* Sized for the contexts of 512 harts, as there. */
#define MACHINE_PLIC_BASE    0xc000000
#define MACHINE_PLIC_SIZE    0x600000
#define MACHINE_PLIC_SOURCES 95

#define MACHINE_UART_BASE  0x10000000
#define MACHINE_UART_SIZE  0x100
#define MACHINE_UART_IRQ   10
#define MACHINE_UART_CLOCK 3686400 /* Hz */

#define MACHINE_VIRTIO_SLOTS   8
#define MACHINE_VIRTIO_BASE(n) (0x10001000 + 0x1000 * (n)) /* slot n */
#define MACHINE_VIRTIO_SIZE    0x1000
#define MACHINE_VIRTIO_IRQ(n)  ((n) + 1)

#define MACHINE_FLASH_BANKS   2
#define MACHINE_FLASH_BASE(n) (0x20000000 + 0x2000000 * (n)) /* bank n */
#define MACHINE_FLASH_SIZE    0x2000000

#define MACHINE_RAM_BASE  0x80000000 /* unless the VM says otherwise */
#define MACHINE_HARTS_MAX 512

#endif
