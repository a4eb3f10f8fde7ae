/* SPDX-License-Identifier: MIT */
#ifndef VIRTIO_REGISTERS_H
#define VIRTIO_REGISTERS_H

/*
 * Registers of a virtio device over MMIO: offsets of 32 bits each, by their names in Virtio 1.3,
 * 4.2.2 (before, QueueSize was QueueNum), and 4.2.4 for what only legacy devices have. For both
 * sides of it, the hypervisor's and the guests'.
 */
#define MMIO_MAGIC_VALUE         0x000
#define MMIO_VERSION             0x004
#define MMIO_DEVICE_ID           0x008
#define MMIO_VENDOR_ID           0x00c
#define MMIO_DEVICE_FEATURES     0x010
#define MMIO_DEVICE_FEATURES_SEL 0x014
#define MMIO_DRIVER_FEATURES     0x020
#define MMIO_DRIVER_FEATURES_SEL 0x024
#define MMIO_GUEST_PAGE_SIZE     0x028 /* legacy */
#define MMIO_QUEUE_SEL           0x030
#define MMIO_QUEUE_SIZE_MAX      0x034
#define MMIO_QUEUE_SIZE          0x038
#define MMIO_QUEUE_ALIGN         0x03c /* legacy */
#define MMIO_QUEUE_PFN           0x040 /* legacy */
#define MMIO_QUEUE_READY         0x044
#define MMIO_QUEUE_NOTIFY        0x050
#define MMIO_INTERRUPT_STATUS    0x060
#define MMIO_INTERRUPT_ACK       0x064
#define MMIO_STATUS              0x070
#define MMIO_QUEUE_DESC_LOW      0x080 /* of each pair, the high half is the next */
#define MMIO_QUEUE_DESC_HIGH     0x084
#define MMIO_QUEUE_DRIVER_LOW    0x090
#define MMIO_QUEUE_DRIVER_HIGH   0x094
#define MMIO_QUEUE_DEVICE_LOW    0x0a0
#define MMIO_QUEUE_DEVICE_HIGH   0x0a4
#define MMIO_SHM_LEN_LOW         0x0b0
#define MMIO_SHM_BASE_HIGH       0x0bc
#define MMIO_CONFIG_GENERATION   0x0fc
#define MMIO_CONFIG              0x100

#define VIRTIO_MAGIC 0x74726976 /* MagicValue: "virt" */

#endif
