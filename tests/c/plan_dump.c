/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads plans from stdin, each after its length (32 bits, in the machine's order), and says for
 * each on stdout what the decoder of pyrunc-init makes of it: "reject", or its header and its
 * steps, and then "end".
 *
 * An argument is u:NUMBER, r:REGISTER, s:HEX or s- (absent), b:HEX, or l: and for each string a
 * comma and its HEX; so nothing inside a string can be taken for something else. With the
 * argument "walk" everything is read as well, but only its sum is printed.
 */
#include "../../csrc/init/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAY(...) (walk_only ? 0 : printf(__VA_ARGS__))

static int walk_only;
static uint64_t sum;

static void put_hex(const void *bytes, size_t length)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        sum = sum * 31 + at[i];
        SAY("%02x", at[i]);
    }
}

/* As pyrunc-init builds the vectors for execve: the arena has exactly the pointers that the
 * header promises, so that one too many is seen. */
static void put_list(const void *step, struct pr_span span, char ***arena)
{
    const char *text = span_bytes(step, span);
    const char *end = text + span.length;
    char **vector = *arena;
    while (text < end) {
        *(*arena)++ = (char *)text;
        text += strlen(text) + 1;
    }
    *(*arena)++ = NULL;
    SAY("l:");
    for (; *vector; vector++) {
        SAY(",");
        put_hex(*vector, strlen(*vector));
    }
}

static void put_step(const struct pr_step *step, char ***arena)
{
    const unsigned char *slot = (const unsigned char *)(step + 1);
    SAY("%" PRIu32, step->op);
    for (const char *shape = pr_shapes[step->op]; *shape; shape++, slot += 8) {
        uint64_t number;
        struct pr_span span;
        memcpy(&number, slot, sizeof number);
        memcpy(&span, slot, sizeof span);
        SAY(" ");
        if (*shape == 'l') {
            put_list(step, span, arena);
        } else if (*shape == 'b') {
            SAY("b:");
            put_hex(span_bytes(step, span), span.length);
        } else if (*shape != 's' && *shape != 'o') {
            SAY("%c:%" PRIu64, *shape, number);
        } else if (span_text(step, span)) {
            SAY("s:");
            put_hex(span_text(step, span), strlen(span_text(step, span)));
        } else {
            SAY("s-");
        }
    }
    SAY("\n");
}

static void dump(const void *bytes, size_t size)
{
    struct plan plan;
    if (plan_check(bytes, size, &plan) < 0) {
        puts("reject");
        return;
    }
    const struct pr_header *h = plan.header;
    printf("plan %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", h->steps,
           h->registers, h->first_fd, h->passed_fds, h->strings);
    char **vectors = malloc(h->strings * sizeof *vectors);
    char **arena = vectors;
    if (!vectors && h->strings)
        abort();
    const struct pr_step *step = plan_first(&plan);
    uint32_t count = 0;
    for (; step; step = plan_next(&plan, step), count++)
        put_step(step, &arena);
    if (count != h->steps || arena != vectors + h->strings)
        abort();
    free(vectors);
    if (walk_only)
        printf("sum %" PRIu64 "\n", sum);
    puts("end");
}

int main(int argc, char **argv)
{
    uint32_t size;
    walk_only = argc == 2 && strcmp(argv[1], "walk") == 0;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        /* Exactly as large as the plan: one byte too far is seen by the sanitizer. */
        void *bytes = malloc(size);
        if (!bytes || (size && fread(bytes, size, 1, stdin) != 1))
            return 2;
        dump(bytes, size);
        free(bytes);
        fflush(stdout);
    }
    return 0;
}
