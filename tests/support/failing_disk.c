/* Makes system calls on a database fail while a switch file exists, as a broken or read-only disk does.
 *
 * FAILING_DATABASE is the path with which the names of the database's files begin. The file FAILING_SWITCH says what
 * fails and how: "sync 5" lets fsync return EIO, "write 30" lets writes return EROFS. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Returns whether the calls of this kind fail for a file, and sets errno. */
static int fails(const char *kind, int file) {
    const char *database = getenv("FAILING_DATABASE"), *switch_file = getenv("FAILING_SWITCH");
    if (!database || !switch_file) return 0;
    char link[64], path[4096], text[64], failing[16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    /* The database and its WAL, and not what else has such a name. */
    size_t prefix = strlen(database);
    if (strncmp(path, database, prefix) || (path[prefix] && strcmp(path + prefix, "-wal"))) return 0;
    int opened = open(switch_file, O_RDONLY | O_CLOEXEC);
    if (opened < 0) return 0;
    length = read(opened, text, sizeof text - 1);
    close(opened);
    if (length <= 0) return 0;
    text[length] = 0;
    int number;
    if (sscanf(text, "%15s %d", failing, &number) != 2 || strcmp(failing, kind)) return 0;
    errno = number;
    return 1;
}

ssize_t write(int file, const void *bytes, size_t length) {
    return fails("write", file) ? -1 : syscall(SYS_write, file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails("write", file) ? -1 : real(file, bytes, length, at);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    return pwrite64(file, bytes, length, at);
}

int fsync(int file) {
    return fails("sync", file) ? -1 : (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    return fails("sync", file) ? -1 : (int)syscall(SYS_fdatasync, file);
}
