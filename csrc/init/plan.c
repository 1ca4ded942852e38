/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <string.h>

enum { SLOT = 8 };

static uint64_t slot_number(const unsigned char *record, size_t i)
{
    uint64_t value;
    memcpy(&value, record + sizeof(struct pr_step) + i * SLOT, sizeof value);
    return value;
}

static struct pr_span slot_span(const unsigned char *record, size_t i)
{
    struct pr_span span;
    memcpy(&span, record + sizeof(struct pr_step) + i * SLOT, sizeof span);
    return span;
}

/* Where the texts lie, as seen from a record: offsets of the first one and behind the last one. */
struct room {
    uint64_t from, to;
};

/* A string is NUL-terminated at its stated length and holds no other NUL; a list of strings may
 * hold several; a blob is free of form. Counts the pointers that a list will need. */
static int check_span(const unsigned char *record, struct room room, struct pr_span span, char kind,
                      uint64_t *pointers)
{
    if (span.offset == 0)
        return kind == 'o' && span.length == 0 ? 0 : -1;
    if (span.offset < room.from || span.offset > room.to || span.length > room.to - span.offset)
        return -1;
    if (kind == 'b')
        return span.offset % SLOT == 0 ? 0 : -1;
    const char *text = (const char *)record + span.offset;
    if (kind != 'l')
        return span.length > 0 && memchr(text, 0, span.length) == text + span.length - 1 ? 0 : -1;
    if (span.length > 0 && text[span.length - 1] != 0)
        return -1;
    for (uint32_t i = 0; i < span.length; i++)
        *pointers += text[i] == 0;
    *pointers += 1;
    return 0;
}

static int check_record(const unsigned char *record, const char *shape, struct room room,
                        uint32_t registers, uint64_t *pointers)
{
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == 'u')
            continue;
        if (shape[i] == 'r') {
            if (slot_number(record, i) >= registers)
                return -1;
            continue;
        }
        if (check_span(record, room, slot_span(record, i), shape[i], pointers) < 0)
            return -1;
    }
    return 0;
}

static int check_header(const struct pr_header *h, size_t size)
{
    if (h->magic != PR_MAGIC || h->version != PR_VERSION)
        return -1;
    if (h->total != size || size > PR_MAX_BYTES || h->steps > PR_MAX_STEPS)
        return -1;
    if (h->texts > size - sizeof *h)
        return -1;
    if (h->registers > PR_MAX_REGISTERS || h->passed_fds > h->registers)
        return -1;
    /* stdio is the container's; and first_fd + register must stay a descriptor number. */
    return h->first_fd >= 3 && h->first_fd < PR_MAX_STEPS ? 0 : -1;
}

int plan_check(const void *bytes, size_t size, struct plan *plan)
{
    const struct pr_header *header = bytes;
    if (size < sizeof *header || check_header(header, size) < 0)
        return -1;
    size_t at = sizeof *header;
    size_t end = size - header->texts; /* of the records */
    uint64_t pointers = 0;
    for (uint32_t i = 0; i < header->steps; i++) {
        struct pr_step step;
        if (end - at < sizeof step)
            return -1;
        const unsigned char *record = (const unsigned char *)bytes + at;
        memcpy(&step, record, sizeof step);
        if (step.op == PR_OP_NONE || step.op >= PR_OP_COUNT)
            return -1;
        const char *shape = pr_shapes[step.op];
        if (step.size != sizeof step + strlen(shape) * SLOT || step.size > end - at)
            return -1;
        struct room room = {end - at, size - at};
        if (check_record(record, shape, room, header->registers, &pointers) < 0)
            return -1;
        at += step.size;
    }
    if (at != end || pointers != header->strings)
        return -1;
    plan->header = header;
    plan->bytes = bytes;
    plan->end = plan->bytes + end;
    return 0;
}

const struct pr_step *plan_first(const struct plan *plan)
{
    if (plan->header->steps == 0)
        return NULL;
    return (const struct pr_step *)(plan->bytes + sizeof *plan->header);
}

const struct pr_step *plan_next(const struct plan *plan, const struct pr_step *step)
{
    const unsigned char *next = (const unsigned char *)step + step->size;
    if (next >= plan->end)
        return NULL;
    return (const struct pr_step *)next;
}
