/* SPDX-License-Identifier: MIT */
#include "kernel/error.h"
#include "kernel/types.h"

static const char *const error_strings[] = {
    [0] = "no error",
    [-ERR_NOMEM] = "no memory",
    [-ERR_INVAL] = "invalid value",
    [-ERR_RANGE] = "out of range",
    [-ERR_NOENT] = "not found",
    [-ERR_EXIST] = "already in use",
    [-ERR_NOSYS] = "not supported",
    [-ERR_FAULT] = "access fault",
    [-ERR_CORRUPT] = "corrupt",
    [-ERR_TOO_LARGE] = "too large",
    [-ERR_AGAIN] = "not finished",
    [-ERR_DENIED] = "not allowed",
    [-ERR_IO] = "input or output failed",
};

const char *error_string(int error)
{
	if (error > 0 || error <= -(int)ARRAY_SIZE(error_strings))
		return "unknown error";
	return error_strings[-error];
}
