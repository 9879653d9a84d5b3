#include "supervise/gang_net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drive/supervise_doc.h"
#include "drive/supervise_lock.h"

enum err gang_net_make(void)
{
    struct ifreq request = {0};
    if (unshare(CLONE_NEWNET) != 0)
        return errno == EPERM ? ERR_DENIED : ERR_IO;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    bool is_up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    (void)close(fd);
    return is_up ? ERR_OK : ERR_IO;
}

enum err gang_net_find(int folder, int *out_fd)
{
    char text[SUPERVISE_LOCK_TEXT_MAX], path[64];
    struct supervise_lock lock;
    int net = -1;
    int fd = openat(folder, "../rank-0/lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ERR_NOT_FOUND;
    ssize_t got = read(fd, text, sizeof(text));
    if (got > 0 && supervise_lock_parse(slice_make(text, (size_t)got), &lock) == ERR_OK) {
        (void)snprintf(path, sizeof(path), "/proc/%lld/ns/net", (long long)lock.pid);
        net = open(path, O_RDONLY | O_CLOEXEC);
    }
    /* The number was its own all the while if the lock is held still. */
    if (net >= 0 && !supervise_lock_is_held(fd)) {
        (void)close(net);
        net = -1;
    }
    (void)close(fd);
    if (net < 0)
        return ERR_NOT_FOUND;
    *out_fd = net;
    return ERR_OK;
}
