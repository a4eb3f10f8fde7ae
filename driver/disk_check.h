/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_DISK_CHECK_H
#define DRIVER_DISK_CHECK_H

/*
 * Checks the host's disks at boot, in a build made with -DPILAE_CHECK_DISKS: what is written is
 * read back, with many requests at a time. The disks' contents are lost. Costs nothing in any other
 * build.
 */

#ifdef PILAE_CHECK_DISKS
/* Begins; results are logged. On the boot hart, once all harts are up. */
void disk_check_begin(void);
#else
static inline void disk_check_begin(void)
{
}
#endif

#endif
