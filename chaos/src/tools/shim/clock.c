/* Moves the wall clock of the process by as many seconds as the file `clock` beside the triggers says: eight bytes, as
 * the machine orders them, mapped, so that a new value holds at once and costs nothing. The monotonic clock stays right. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "triggers.h"

/* Greater than any time since a machine's start, less than any time since 1970: tells the two clocks' times apart. */
static const time_t WALL_CLOCK_S = 1000000000;

static const volatile int64_t *shift_s;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_cnd_wait)(cnd_t *restrict, mtx_t *restrict, const struct timespec *restrict);

__attribute__((constructor)) static void begin(void) {
    char path[4096];
    real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    /* without the version this is a symbol of another age, whose conditions have another form */
    void *wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (wait == NULL) wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_wait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))wait;
    void *cnd_wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    real_cnd_wait = (int (*)(cnd_t *restrict, mtx_t *restrict, const struct timespec *restrict))cnd_wait;
    if (!trigger_path(path, sizeof path, "clock")) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *shift_s, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) shift_s = mapped;
    close(file);
}

static int64_t shift(void) { return shift_s == NULL ? 0 : *shift_s; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    /* other libraries may ask before this one has begun */
    int failed = real_clock == NULL ? (int)syscall(SYS_clock_gettime, clock, now) : real_clock(clock, now);
    if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec time;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
    if (now != NULL) *now = time.tv_sec;
    return time.tv_sec;
}

/* The same moment by the clock that the kernel waits by. */
static struct timespec really(const struct timespec *until) {
    struct timespec moment = *until;
    if (moment.tv_sec > WALL_CLOCK_S) moment.tv_sec -= shift();
    return moment;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    struct timespec moment = really(until);
    return real_wait(condition, mutex, &moment);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec moment = really(until);
    return real_cnd_wait(condition, mutex, &moment);
}
