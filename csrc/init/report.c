/* SPDX-License-Identifier: Apache-2.0 */
/* What pyrunc-init reports to its parent, and how it waits for an answer. */
#include "init.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int fail(enum pr_call call)
{
    return fail_with(call, errno, 0);
}

int fail_with(enum pr_call call, int err, int value)
{
    init.report.call = call;
    init.report.err = err;
    init.report.why = PR_WHY_NONE;
    init.report.value = value;
    return -1;
}

int refuse(enum pr_reason why, int value)
{
    init.report.call = PR_CALL_NONE;
    init.report.err = 0;
    init.report.why = why;
    init.report.value = value;
    return -1;
}

/* One message with one descriptor. MSG_NOSIGNAL: a dead receiver is an error here, not SIGPIPE. */
int send_with_descriptor(int socket, const void *data, size_t size, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec body = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &body,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof control.space};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Report to the parent, with a descriptor where fd >= 0. */
int send_message(enum pr_message_kind kind, int value, int fd)
{
    struct pr_message message = init.report;
    message.kind = kind;
    message.step = init.index;
    if (kind != PR_MSG_FAILURE)
        message.value = value;
    if (fd >= 0)
        return send_with_descriptor(reg(PR_REG_SYNC), &message, sizeof message, fd);
    char bytes[sizeof message + sizeof init.text];
    size_t size = sizeof message;
    memcpy(bytes, &message, sizeof message);
    if (kind == PR_MSG_FAILURE && message.why == PR_WHY_NO_LOADER) {
        memcpy(bytes + size, init.text, strlen(init.text));
        size += strlen(init.text);
    }
    /* write, not sendmsg: it is what a seccomp profile that is already in force lets pass. */
    return write(reg(PR_REG_SYNC), bytes, size) < 0 ? -1 : 0;
}

/* Wait for the parent's one-byte answer. End of file means that it is dead: nobody will ever
 * start or remove this container, so go too. */
int await_go(void)
{
    char answer = 0;
    ssize_t n;
    do
        n = read(reg(PR_REG_SYNC), &answer, 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(PR_CALL_READ);
    if (n != 1 || answer != PR_GO)
        _exit(1);
    return 0;
}

/* After the start there is no one left to report to: the container's own stderr gets a line. */
void say(const char *format, ...)
{
    char text[sizeof init.program + 256];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text - 1, format, list);
    va_end(list);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof text - 1 ? (size_t)length : sizeof text - 2;
    text[size] = '\n';
    if (write(2, text, size + 1) < 0)
        return;
}

_Noreturn void die(void)
{
    if (reg(PR_REG_SYNC) < 0)
        _exit(EXIT_NOT_STARTED);
    send_message(PR_MSG_FAILURE, 0, -1);
    _exit(1);
}
