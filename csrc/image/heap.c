/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

/* "pyheap" becomes a segment of its own, the last of the file (--section-start in
 * tools/static/link.sh), so that the image's file can end where its used part does, and the
 * kernel can go on behind it with zero pages. */
__attribute__((section("pyheap"), aligned(PAGE))) char image_heap[HEAP_MOST] = {0};

void image_stretches(struct stretch stretches[STRETCHES])
{
    stretches[0] = (struct stretch){__start_pydata, __stop_pydata};
    stretches[1] = (struct stretch){__start_pybss, __stop_pybss};
    stretches[2] = (struct stretch){image_heap, image_end};
}
