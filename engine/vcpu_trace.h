/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_VCPU_TRACE_H
#define ENGINE_VCPU_TRACE_H

/* Trace points about a vCPU (kernel/trace.h). */

#include "engine/vcpu.h"
#include "kernel/trace.h"

#define vcpu_trace(vcpu, kind, detail, a, b) trace(kind, detail, (vcpu)->trace_id, a, b)

#endif
