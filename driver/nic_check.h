/* SPDX-License-Identifier: MIT */
#ifndef DRIVER_NIC_CHECK_H
#define DRIVER_NIC_CHECK_H

/*
 * Checks the host's network interfaces at boot, in a build made with -DPILAE_CHECK_NICS: there has
 * to be a peer that sends every frame back. Costs nothing in any other build.
 */

#ifdef PILAE_CHECK_NICS
/* Begins; results are logged. On the boot hart, once all harts are up. */
void nic_check_begin(void);
#else
static inline void nic_check_begin(void)
{
}
#endif

#endif
