/* Makes the rename of a freshly written part of ClickHouse fail, or kills the process there: after the insert's
 * deduplication token was written, and before its rows are in the table.
 *
 * A trigger file `eio` makes one rename fail with EIO, a file `kill` ends the process before one. The file is taken away
 * by the rename that meets it. What stands in it must be part of the renamed path; empty, any part's rename meets it.
 * `renames` gets a line for each that was met. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "triggers.h"

/* how ClickHouse names a part that an insert is writing */
static const char PART[] = "/tmp_insert_";

/* Whether the trigger is there, is meant for this path, and was taken by this call. */
static int take(const char *name, const char *renamed) {
    char trigger[4096], wanted[256];
    if (!trigger_path(trigger, sizeof trigger, name)) return 0;
    int file = open(trigger, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, wanted, sizeof wanted - 1);
    close(file);
    if (length < 0) return 0;
    wanted[length] = 0;
    /* only one of several threads can take a file away */
    return strstr(renamed, wanted) != NULL && unlink(trigger) == 0;
}

static void record(const char *fault, const char *renamed) {
    char path[4096], line[4096];
    if (!trigger_path(path, sizeof path, "renames")) return;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return;
    int length = snprintf(line, sizeof line, "%s %s\n", fault, renamed);
    if (length > 0 && length < (int)sizeof line && write(file, line, (size_t)length) < 0) { /* told by its absence */
    }
    close(file);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (real == NULL) real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (strstr(from, PART) != NULL) {
        if (take("kill", from)) {
            record("kill", from);
            kill(getpid(), SIGKILL);
            pause();
        }
        if (take("eio", from)) {
            record("eio", from);
            errno = EIO;
            return -1;
        }
    }
    return real(from, to);
}
