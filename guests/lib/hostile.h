/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_HOSTILE_H
#define GUESTS_LIB_HOSTILE_H

#include "kernel/types.h"

/*
 * A driver that is as bad to virtio devices as it can be: random descriptors (many outside RAM, in
 * the rings themselves, in loops), registers in any order, resets at any moment. What a device
 * is allowed to write to is memory of its own. A device that does not do what it has to ends
 * the guest, with a line `not ok: virtio: …`.
 */

/*
 * Finds the devices, checks that disks work, and sets all up. Returns how many there are.
 * `others_write`: the devices' status may be written to by others, between two accesses from here.
 */
unsigned hostile_init(bool disks_only, bool others_write);

/* Offers a random request, and perhaps does worse. On one hart at a time. */
void hostile_operate(uint64_t *random);

/* Changes what a device may be reading. On any hart, at any time. */
void hostile_change(uint64_t *random);

/* Checks that disks still work, and that nothing was written to memory that was not offered. */
void hostile_check(void);

/* So far: resets of devices, and answers. */
void hostile_counts(uint64_t *reset_count, uint64_t *used_count);

#endif
