#include "drive/supervise_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum err supervise_lock_take(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return ERR_OK;
    return errno == EAGAIN || errno == EACCES ? ERR_BUSY : ERR_IO;
}

bool supervise_lock_is_held(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
