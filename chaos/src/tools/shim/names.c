/* Makes the names of hosts unknown: while there is a trigger file `no-names`, no name is resolved in this process.
 * Addresses are no names. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include "triggers.h"

static int is_address(const char *text) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

static int names_are_unknown(void) {
    char path[4096];
    return trigger_path(path, sizeof path, "no-names") && access(path, F_OK) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    static resolver real;
    if (real == NULL) real = (resolver)dlsym(RTLD_NEXT, "getaddrinfo");
    if (node != NULL && !is_address(node) && names_are_unknown()) return EAI_NONAME;
    return real(node, service, hints, found);
}
