#include "port/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "port/entropy.h"
#include "port/posix/os_error.h"

enum { FILE_LOCK_TEXT_MAX = 32, FILE_TEMPORARY_TRIES_MAX = 16 };

static enum file_kind file_kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return FILE_PLAIN;
    if (S_ISDIR(mode))
        return FILE_FOLDER;
    return S_ISLNK(mode) ? FILE_LINK : FILE_OTHER;
}

enum err file_stat(const char *path, struct file_info *out_info)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return os_error(errno);
    *out_info = (struct file_info){
        .kind = file_kind_of(info.st_mode),
        .size_bytes = (uint64_t)info.st_size,
        .mode = info.st_mode & 07777,
        .uid = info.st_uid,
        .modified = {(int64_t)info.st_mtim.tv_sec * 1000000 + info.st_mtim.tv_nsec / 1000},
    };
    return ERR_OK;
}

/* Reads to the end rather than trusting the size, which is 0 for files of /proc. */
static enum err file_read_fd(int fd, size_t bytes_max, struct arena *arena, struct slice *out_bytes)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return os_error(errno);
    if (S_ISDIR(info.st_mode))
        return ERR_INVALID;
    if (info.st_size > 0 && (uint64_t)info.st_size > bytes_max)
        return ERR_LIMIT;
    size_t cap = info.st_size > 0 ? (size_t)info.st_size + 1 : 4096;
    size_t len = 0;
    char *data = malloc(cap);
    enum err code = data == NULL ? ERR_NO_MEMORY : ERR_OK;
    while (code == ERR_OK) {
        ssize_t got = read(fd, data + len, cap - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = os_error(errno);
        if (got <= 0)
            break;
        len += (size_t)got;
        if (len > bytes_max)
            code = ERR_LIMIT;
        if (code == ERR_OK && len == cap) {
            cap *= 2;
            char *wider = realloc(data, cap);
            code = wider == NULL ? ERR_NO_MEMORY : ERR_OK;
            data = wider != NULL ? wider : data;
        }
    }
    if (code == ERR_OK) {
        struct slice copy = arena_copy(arena, slice_make(data, len));
        code = copy.data == NULL ? ERR_NO_MEMORY : ERR_OK;
        if (code == ERR_OK)
            *out_bytes = copy;
    }
    free(data);
    return code;
}

enum err file_read(const char *path, size_t bytes_max, struct arena *arena, struct fault *fault,
                   struct slice *out_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return os_fault(fault, errno, "cannot read", path);
    enum err code = file_read_fd(fd, bytes_max, arena, out_bytes);
    close(fd);
    if (code == ERR_LIMIT)
        return fault_set(fault, code, NULL, "%s is longer than %zu bytes", path, bytes_max);
    if (code != ERR_OK)
        return fault_set(fault, code, NULL, "cannot read %s: %s", path, err_name(code));
    return ERR_OK;
}

/* The folder that holds `path`, open for fsync; -1 with errno. */
static int file_folder_open(const char *path)
{
    char folder[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, slash == NULL ? "." : path, len);
    folder[len] = '\0';
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum err file_folder_sync(const char *path)
{
    int fd = file_folder_open(path);
    if (fd < 0)
        return os_error(errno);
    enum err code = fsync(fd) == 0 ? ERR_OK : ERR_IO;
    close(fd);
    return code;
}

static int file_temporary_open(const char *path, uint32_t mode, char out_name[FILE_PATH_MAX])
{
    for (int i = 0; i < FILE_TEMPORARY_TRIES_MAX; i++) {
        uint64_t number;
        if (entropy_fill(&number, sizeof(number)) != ERR_OK) {
            errno = EIO;
            return -1;
        }
        int len =
            snprintf(out_name, FILE_PATH_MAX, "%s.%016llx.tmp", path, (unsigned long long)number);
        if (len >= FILE_PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(out_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static enum err write_renamed(const char *path, struct slice bytes, uint32_t mode, bool is_durable,
                              struct fault *fault)
{
    char name[FILE_PATH_MAX];
    int fd = file_temporary_open(path, mode, name);
    if (fd < 0)
        return os_fault(fault, errno, "cannot write", path);
    enum err code = fchmod(fd, mode) == 0 ? ERR_OK : os_error(errno); /* whatever the umask is */
    if (code == ERR_OK)
        code = file_write_all(fd, bytes);
    if (code == ERR_OK && is_durable && fsync(fd) != 0)
        code = os_error(errno);
    if (close(fd) != 0 && code == ERR_OK)
        code = os_error(errno);
    if (code == ERR_OK && rename(name, path) != 0)
        code = os_error(errno);
    if (code != ERR_OK) {
        unlink(name);
        return fault_set(fault, code, NULL, "cannot write %s: %s", path, err_name(code));
    }
    if (is_durable && file_folder_sync(path) != ERR_OK)
        return fault_set(fault, ERR_IO, NULL, "cannot make the folder of %s durable", path);
    return ERR_OK;
}

enum err file_write_atomic(const char *path, struct slice bytes, uint32_t mode, struct fault *fault)
{
    return write_renamed(path, bytes, mode, true, fault);
}

enum err file_write_volatile(const char *path, struct slice bytes, uint32_t mode,
                             struct fault *fault)
{
    return write_renamed(path, bytes, mode, false, fault);
}

enum err file_make_folders(const char *path, uint32_t mode, struct fault *fault)
{
    char part[FILE_PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part))
        return fault_set(fault, ERR_INVALID, NULL, "a folder's path has 1 to %d bytes",
                         FILE_PATH_MAX - 1);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return os_fault(fault, errno, "cannot make the folder", part);
        part[i] = kept;
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return os_fault(fault, errno, "cannot make the folder", path);
    if (!S_ISDIR(info.st_mode))
        return fault_set(fault, ERR_EXISTS, NULL, "%s stands already and is no folder", path);
    return ERR_OK;
}

enum err file_remove(const char *path, struct fault *fault)
{
    return unlink(path) == 0 ? ERR_OK : os_fault(fault, errno, "cannot remove", path);
}

enum err file_rename(const char *from, const char *to, struct fault *fault)
{
    if (rename(from, to) != 0)
        return os_fault(fault, errno, "cannot rename to", to);
    if (file_folder_sync(to) != ERR_OK)
        return fault_set(fault, ERR_IO, NULL, "cannot make the folder of %s durable", to);
    return ERR_OK;
}

enum err file_space(const char *path, struct file_space *out_space)
{
    struct statvfs info;
    if (statvfs(path, &info) != 0)
        return os_error(errno);
    *out_space = (struct file_space){.free_bytes = (uint64_t)info.f_bavail * info.f_frsize,
                                     .total_bytes = (uint64_t)info.f_blocks * info.f_frsize};
    return ERR_OK;
}

enum err file_open(const char *path, enum file_open how, uint32_t mode, struct fault *fault,
                   int *out_fd)
{
    static const int flags[] = {
        [FILE_OPEN_READ] = O_RDONLY,
        [FILE_OPEN_CREATE] = O_WRONLY | O_CREAT | O_EXCL,
        [FILE_OPEN_APPEND] = O_WRONLY | O_CREAT | O_APPEND,
        [FILE_OPEN_REPLACE] = O_WRONLY | O_CREAT | O_TRUNC,
        [FILE_OPEN_READ_WRITE] = O_RDWR | O_CREAT,
    };
    int fd = open(path, flags[how] | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, mode);
    if (fd < 0)
        return os_fault(fault, errno, "cannot open", path);
    *out_fd = fd;
    return ERR_OK;
}

enum err file_write_all(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = write(fd, bytes.data, bytes.len);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return os_error(errno);
        bytes = slice_make(bytes.data + sent, bytes.len - (size_t)sent);
    }
    return ERR_OK;
}

enum err file_read_at(int fd, uint64_t offset, void *buffer, size_t len, size_t *out_len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(fd, (char *)buffer + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return os_error(errno);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_len = done;
    return ERR_OK;
}

enum err file_write_at(int fd, uint64_t offset, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = pwrite(fd, bytes.data, bytes.len, (off_t)offset);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return os_error(errno);
        bytes = slice_make(bytes.data + sent, bytes.len - (size_t)sent);
        offset += (uint64_t)sent;
    }
    return ERR_OK;
}

enum err file_size(int fd, uint64_t *out_bytes)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return os_error(errno);
    *out_bytes = (uint64_t)info.st_size;
    return ERR_OK;
}

enum err file_sync(int fd)
{
    return fdatasync(fd) == 0 ? ERR_OK : os_error(errno);
}

void file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

enum err file_lock_take(const char *path, struct fault *fault, struct file_lock *out_lock)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return os_fault(fault, errno, "cannot open the lock", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[FILE_LOCK_TEXT_MAX] = "";
        int error = errno;
        ssize_t got = pread(fd, holder, sizeof(holder) - 1, 0);
        holder[got > 0 ? strcspn(holder, "\n") : 0] = '\0';
        close(fd);
        if (error != EWOULDBLOCK)
            return os_fault(fault, error, "cannot take the lock", path);
        return fault_set(fault, ERR_BUSY, NULL, "%s is held by process %s; only one may run", path,
                         holder[0] != '\0' ? holder : "(unknown)");
    }
    char text[FILE_LOCK_TEXT_MAX];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    /* For people only, so a full disk, and half a number after it, does not stand in the way. */
    bool is_written = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
    (void)is_written;
    out_lock->fd = fd;
    return ERR_OK;
}

void file_lock_release(struct file_lock *lock)
{
    if (lock->fd < 0)
        return;
    close(lock->fd); /* the file stays: removing it would let two holders in */
    lock->fd = -1;
}
