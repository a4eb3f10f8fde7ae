/* SPDX-License-Identifier: MIT */
#ifndef GUESTS_LIB_TREE_H
#define GUESTS_LIB_TREE_H

/*
 * Fills `machine` and the ids of harts[] from the device tree, after which the tree's memory
 * may be reused. It expects what `virt` gives: two cells for addresses, one for hart ids.
 */
void tree_read(const void *tree);

#endif
