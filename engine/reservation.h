/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_RESERVATION_H
#define ENGINE_RESERVATION_H

/*
 * For assembly. A guest that is entered finds no reservation of an LR of before: another vCPU, or a
 * device, may have written there on this hart, which does not end it (Unpriv. "Zalrsc"; Priv. 1.13,
 * 3.3.2). An SC to any address does. It fails, or writes to the place of x0, which is not used.
 */
#define DROP_RESERVATION(vcpu) sc.d zero, zero, (vcpu)

#endif
