/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_HEXT_QUICK_H
#define ENGINE_HEXT_QUICK_H

/* What hext_quick_access() returns. Usable from assembly. */
#define QUICK_NOT_DEALT_WITH 0 /* nothing has been done */
#define QUICK_GO_ON          1 /* done; the guest may be entered again as it is */
#define QUICK_LEAVE          2 /* done; but something is due before the guest is entered */

/* Given to hext_exited() as cause after QUICK_LEAVE: one of those that are never used. */
#define CAUSE_DEALT_WITH 63

#endif
