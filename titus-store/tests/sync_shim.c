/* Counts fdatasync calls, a byte each at the end of $TITUS_SYNC_COUNT, and fails those after $TITUS_SYNC_FAIL. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int calls;

int fdatasync(int fd) {
    const char *fail = getenv("TITUS_SYNC_FAIL");
    if (fail && calls >= atoi(fail)) {
        errno = EIO;
        return -1;
    }
    calls++;
    int done = syscall(SYS_fdatasync, fd);
    int count = open(getenv("TITUS_SYNC_COUNT"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (count < 0 || write(count, "x", 1) != 1 || close(count) != 0)
        abort();
    return done;
}
