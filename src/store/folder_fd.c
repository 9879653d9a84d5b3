#include "store/folder_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

enum err folder_fd_error(int number, struct slice path, struct fault *fault)
{
    enum err err = ERR_IO;
    switch (number) {
    case ENOENT:
        err = ERR_NOT_FOUND;
        break;
    case EEXIST:
    case ENOTEMPTY:
        err = ERR_EXISTS;
        break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        err = ERR_FULL;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        err = ERR_DENIED;
        break;
    case ELOOP: /* a link where none may be */
    case ENOTDIR:
        err = ERR_INVALID;
        break;
    case ENAMETOOLONG:
    case EMFILE:
    case ENFILE:
        err = ERR_LIMIT;
        break;
    case ENOMEM:
        err = ERR_NO_MEMORY;
        break;
    default:
        break;
    }
    return fault_set(fault, err, NULL, "%.*s: %s", SLICE_ARG(path), strerrordesc_np(number));
}

enum err folder_fd_open(const char *path, struct fault *fault, int *out_fd)
{
    int fd = open(path, FOLDER_FLAGS);
    if (fd < 0)
        return folder_fd_error(errno, slice_of(path), fault);
    *out_fd = fd;
    return ERR_OK;
}

static enum err part_copy(struct slice part, struct slice path, struct fault *fault, char name[256])
{
    if (part.len == 0 || part.len > 255 || memchr(part.data, 0, part.len))
        return folder_fd_error(ENAMETOOLONG, path, fault);
    memcpy(name, part.data, part.len);
    name[part.len] = 0;
    return ERR_OK;
}

enum err folder_fd_open_below(int root_fd, struct slice path, struct fault *fault, int *out_fd)
{
    int fd = openat(root_fd, ".", FOLDER_FLAGS);
    if (fd < 0)
        return folder_fd_error(errno, path, fault);
    struct slice rest = path;
    while (rest.len > 0) {
        struct slice part = rest, tail = {"", 0};
        char name[256];
        (void)slice_cut(rest, '/', &part, &tail);
        enum err err = part_copy(part, path, fault, name);
        int next = err ? -1 : openat(fd, name, FOLDER_FLAGS);
        int number = errno;
        close(fd);
        if (err)
            return err;
        if (next < 0)
            return folder_fd_error(number, path, fault);
        fd = next;
        rest = tail;
    }
    *out_fd = fd;
    return ERR_OK;
}

enum err folder_fd_open_parent(int root_fd, struct slice path, struct fault *fault, int *out_fd,
                               char name[256])
{
    const char *slash = memrchr(path.data, '/', path.len);
    size_t parent_len = slash ? (size_t)(slash - path.data) : 0;
    struct slice last = slash ? slice_make(slash + 1, path.len - parent_len - 1) : path;
    enum err err = part_copy(last, path, fault, name);
    if (err)
        return err;
    return folder_fd_open_below(root_fd, slice_make(path.data, parent_len), fault, out_fd);
}
