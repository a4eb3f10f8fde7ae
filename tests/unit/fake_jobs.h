/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_JOBS_H
#define TESTS_UNIT_FAKE_JOBS_H

/* A worker that has one job, at the most, and does it when a test says so. */

#include "tests/unit/fake_kernel.h"

#include "kernel/error.h"
#include "vmm/schedule.h"

static struct job *queued_job;

void schedule_job(struct job *job, int (*step)(struct job *job))
{
	assert_null(queued_job);
	job->step = step;
	queued_job = job;
}

void schedule_cancel_job(struct job *job)
{
	if (queued_job == job)
		queued_job = NULL;
}

/* Until there is nothing more to do, which has to come. */
static void run_jobs(void)
{
	for (unsigned i = 0; queued_job; i++) {
		struct job *job = queued_job;

		assert_true(i < 10000);
		queued_job = NULL;
		if (job->step(job) == ERR_AGAIN) {
			assert_null(queued_job);
			queued_job = job;
		}
	}
}

#endif
