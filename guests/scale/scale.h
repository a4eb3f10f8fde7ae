/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_SCALE_H
#define GUESTS_SCALE_H

/*
 * Ticks of `time` since reset: until then every guest waits where it begins, so that those that
 * are started after it are not held up by what it does.
 */
#define SCALE_ALL_STARTED 20000000

#endif
