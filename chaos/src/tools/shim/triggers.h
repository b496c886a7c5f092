/* Where the trigger files are: in the directory `triggers` beside this library, so that preloading it is all there is to do. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int trigger_path(char *path, size_t size, const char *name) {
    Dl_info library;
    if (dladdr((void *)trigger_path, &library) == 0 || library.dli_fname == NULL) return 0;
    const char *slash = strrchr(library.dli_fname, '/');
    if (slash == NULL) return 0;
    int dir = (int)(slash - library.dli_fname);
    int length = snprintf(path, size, "%.*s/triggers/%s", dir, library.dli_fname, name);
    return length > 0 && length < (int)size;
}
