#include "port/posix/os_error.h"

#include <errno.h>
#include <uv.h>

static enum err error_of_address_lookup(int code)
{
    switch (code) {
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_ADDRFAMILY:
    case UV_EAI_FAIL:
        return ERR_NOT_FOUND;
    case UV_EAI_AGAIN:
        return ERR_BUSY;
    case UV_EAI_MEMORY:
        return ERR_NO_MEMORY;
    case UV_EAI_CANCELED:
        return ERR_CANCELLED;
    default:
        return ERR_IO;
    }
}

enum err os_error(int number)
{
    if (number <= UV_EAI_ADDRFAMILY && number >= UV_EAI_PROTOCOL)
        return error_of_address_lookup(number);
    switch (number < 0 ? -number : number) {
    case 0:
        return ERR_OK;
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case EMFILE:
    case ENFILE:
    case EFBIG:
    case E2BIG:
        return ERR_LIMIT;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case ENOTCONN:
    case ESHUTDOWN:
    case EPIPE:
        return ERR_CLOSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EADDRINUSE:
    case EBUSY:
    case EAGAIN:
        return ERR_BUSY;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
        return ERR_INVALID;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return ERR_UNSUPPORTED;
    case ECANCELED:
        return ERR_CANCELLED;
    default:
        return ERR_IO;
    }
}

enum err os_fault(struct fault *fault, int number, const char *what, const char *subject)
{
    char reason[128];
    uv_strerror_r(number > 0 ? -number : number, reason, sizeof(reason));
    return fault_set(fault, os_error(number), NULL, "%s %s: %s", what, subject, reason);
}
