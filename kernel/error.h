/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_ERROR_H
#define KERNEL_ERROR_H

/*
 * The one list of errors. A function that can fail returns 0 or one of these, negative;
 * results go through pointers.
 */
enum {
	ERR_NOMEM = -1,   /* no memory left, here or in this VM's share */
	ERR_INVAL = -2,   /* an argument or a value read from outside makes no sense */
	ERR_RANGE = -3,   /* an address or size lies outside what it may name */
	ERR_NOENT = -4,   /* what was named is not there */
	ERR_EXIST = -5,   /* it is there already, or two things overlap */
	ERR_NOSYS = -6,   /* not supported here (extension, engine, device, format) */
	ERR_FAULT = -7,   /* the access faulted; for a device: the machine gives an access fault */
	ERR_CORRUPT = -8, /* a hash or a magic number does not match */
	ERR_TOO_LARGE = -9, /* it does not fit */
	ERR_AGAIN = -10,    /* not finished: call again */
	ERR_DENIED = -11,   /* the caller may not do this */
	ERR_IO = -12,       /* a host device failed */
};

/* The error in words, for messages: "no memory", "not found", … Never NULL. */
const char *error_string(int error);

#endif
