# SPDX-License-Identifier: MIT
include guests/linux/programs/build.mk
