/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's decoder: a pure function over bytes, used by pyrunc-init and by the tests. */
#ifndef PYRUNC_PLAN_H
#define PYRUNC_PLAN_H

#include "plan_wire.h"

#include <stddef.h>

struct plan {
    const struct pr_header *header;
    const unsigned char *bytes, *end; /* of the records */
};

/* Check `size` bytes at `bytes` (8-byte aligned) whole, before any of it is used.
 * Returns 0 and fills `plan`, or -1. */
int plan_check(const void *bytes, size_t size, struct plan *plan);

/* Walk: the first record, and the one after `step` (NULL after the last). */
const struct pr_step *plan_first(const struct plan *plan);
const struct pr_step *plan_next(const struct plan *plan, const struct pr_step *step);

static inline const char *span_text(const void *step, struct pr_span span)
{
    return span.offset ? (const char *)step + span.offset : NULL;
}

static inline const void *span_bytes(const void *step, struct pr_span span)
{
    return (const char *)step + span.offset;
}

#endif
