#include "supervise/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINK_TARGET_MAX = 256, SANDBOX_PATH_MAX = 4096 };

static void arg(struct buffer *out, const char *text)
{
    buffer_append_text(out, text);
    buffer_append_char(out, '\0');
}

static void arg_slice(struct buffer *out, struct slice text)
{
    buffer_append(out, text);
    buffer_append_char(out, '\0');
}

static void arg_number(struct buffer *out, uint64_t number)
{
    buffer_append_u64(out, number);
    buffer_append_char(out, '\0');
}

static void args3(struct buffer *out, const char *a, const char *b, const char *c)
{
    arg(out, a);
    arg(out, b);
    arg(out, c);
}

static void namespaces(const struct supervise_doc *doc, struct buffer *out)
{
    arg(out, "--unshare-user");
    if (!doc->has_nested_userns)
        arg(out, "--disable-userns");
    arg(out, "--unshare-pid");
    arg(out, "--unshare-ipc");
    arg(out, "--unshare-uts");
    arg(out, "--unshare-cgroup-try");
    if (doc->network == NETWORK_NONE)
        arg(out, "--unshare-net");
    arg(out, "--hostname");
    arg(out, "lingqu");
    arg(out, "--die-with-parent");
    arg(out, "--new-session"); /* no terminal to push characters into */
    arg(out, "--cap-drop");
    arg(out, "ALL");
}

/* Folders of the host's root: on merged systems they are links into /usr. */
static void root_folders(struct buffer *out)
{
    static const char *const folders[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    args3(out, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char target[LINK_TARGET_MAX];
        struct stat info;
        if (lstat(folders[i], &info) != 0)
            continue;
        ssize_t len = S_ISLNK(info.st_mode) ? readlink(folders[i], target, sizeof(target) - 1) : 0;
        if (len > 0) {
            target[len] = '\0';
            args3(out, "--symlink", target, folders[i]);
        } else {
            args3(out, "--ro-bind", folders[i], folders[i]);
        }
    }
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {".", "..", "proc", "sys", "dev", "tmp", "job", "lq", "etc"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_account_file(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "passwd") == 0 ||
           strcmp(name, "group") == 0;
}

/* Each entry of an image's folder at the same place inside: links as links, so that they lead
 * nowhere but inside; the rest read-only. Devices do not open and set-user-id means nothing there
 * (bubblewrap binds without either). */
static enum err image_folder(int folder, const char *path, const char *inside,
                             bool (*is_left_out)(const char *name), struct buffer *out)
{
    char from[SANDBOX_PATH_MAX], to[SANDBOX_PATH_MAX], target[SANDBOX_PATH_MAX];
    int fd = dup(folder);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return ERR_IO;
    }
    rewinddir(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct stat info;
        if (is_left_out(entry->d_name) ||
            fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        int from_len = snprintf(from, sizeof(from), "%s/%s", path, entry->d_name);
        int to_len = snprintf(to, sizeof(to), "%s/%s", inside, entry->d_name);
        if (from_len <= 0 || to_len <= 0 || (size_t)from_len >= sizeof(from) ||
            (size_t)to_len >= sizeof(to))
            continue;
        ssize_t len = S_ISLNK(info.st_mode)
                          ? readlinkat(folder, entry->d_name, target, sizeof(target) - 1)
                          : 0;
        if (len > 0) {
            target[len] = '\0';
            args3(out, "--symlink", target, to);
        } else if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) {
            args3(out, "--ro-bind", from, to);
        }
    }
    (void)closedir(dir);
    return buffer_status(out);
}

static enum err image_root(const struct sandbox_places *places, struct buffer *out)
{
    char path[SANDBOX_PATH_MAX];
    enum err err = image_folder(places->root_fd, places->root, "", is_ours, out);
    int etc = openat(places->root_fd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    arg(out, "--dir");
    arg(out, "/etc");
    if (err != ERR_OK || etc < 0)
        return err;
    (void)snprintf(path, sizeof(path), "%s/etc", places->root);
    err = image_folder(etc, path, "/etc", is_account_file, out);
    (void)close(etc);
    return err;
}

/* What programs need of /etc to find libraries, time zones, certificates and names; no accounts. */
static void etc_files(const struct sandbox_places *places, struct buffer *out)
{
    static const char *const files[] = {
        "/etc/alternatives",    "/etc/ca-certificates", "/etc/fonts",
        "/etc/hosts",           "/etc/ld.so.cache",     "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",    "/etc/localtime",       "/etc/mime.types",
        "/etc/nsswitch.conf",   "/etc/OpenCL",          "/etc/pki",
        "/etc/protocols",       "/etc/services",        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf", "/etc/timezone",        "/etc/ascend_install.info",
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (places->root == NULL && access(files[i], F_OK) == 0)
            args3(out, "--ro-bind-try", files[i], files[i]);
    arg(out, "--file");
    arg_number(out, (uint64_t)places->passwd_fd);
    arg(out, "/etc/passwd");
    arg(out, "--file");
    arg_number(out, (uint64_t)places->group_fd);
    arg(out, "/etc/group");
}

static void devices(const struct supervise_doc *doc, struct buffer *out)
{
    arg(out, "--dev");
    arg(out, "/dev");
    arg(out, "--size"); /* shared memory is memory: no more than the rank may have */
    arg_number(out, doc->limits.mem_bytes != 0 ? doc->limits.mem_bytes : JOB_MEM_BYTES_DEFAULT);
    arg(out, "--tmpfs");
    arg(out, "/dev/shm");
    for (uint32_t i = 0; i < doc->devices.count; i++) {
        arg(out, "--dev-bind-try");
        arg_slice(out, doc->devices.items[i]);
        arg_slice(out, doc->devices.items[i]);
    }
    if (doc->devices.count != 0) { /* vendors' libraries look their devices up there */
        args3(out, "--ro-bind-try", "/sys", "/sys");
        args3(out, "--ro-bind-try", "/opt", "/opt");
    }
}

static void folders(const struct supervise_doc *doc, const struct sandbox_places *places,
                    struct buffer *out)
{
    for (uint32_t i = 0; i < doc->read_only.count; i++) {
        arg(out, "--ro-bind-try");
        arg_slice(out, doc->read_only.items[i]);
        arg_slice(out, doc->read_only.items[i]);
    }
    args3(out, "--bind", places->work, "/job");
    args3(out, "--bind", places->scratch, "/tmp");
    args3(out, "--ro-bind", places->script, "/lq");
    for (uint32_t i = 0; i < doc->shared.count; i++) {
        arg(out, "--bind");
        arg_slice(out, doc->shared.items[i]);
        arg_slice(out, doc->shared.items[i]);
    }
    /* A lock that lives as long as process 1 inside: the driver sees by it whether anything may
     * still run. */
    arg(out, "--lock-file");
    arg(out, "/lq/run");
    args3(out, "--symlink", "/tmp", "/var/tmp");
    arg(out, "--remount-ro");
    arg(out, "/");
    arg(out, "--chdir");
    arg(out, "/job");
}

/* Only constants come together here; the job's own text stays in its files. */
void sandbox_command(const struct sandbox_places *places, struct sandbox_command *out)
{
    *out = (struct sandbox_command){.count = 0};
    if (!places->has_setup) {
        if (!places->is_run_direct)
            out->argv[out->count++] = "/bin/sh";
        out->argv[out->count++] = "/lq/run";
        return;
    }
    (void)snprintf(out->text, sizeof(out->text), "%s && exec %s",
                   places->is_setup_direct ? "/lq/setup" : "/bin/sh -e /lq/setup",
                   places->is_run_direct ? "/lq/run" : "/bin/sh /lq/run");
    out->argv[out->count++] = "/bin/sh";
    out->argv[out->count++] = "-c";
    out->argv[out->count++] = out->text;
}

enum err sandbox_args(const struct supervise_doc *doc, const struct sandbox_places *places,
                      struct buffer *out)
{
    namespaces(doc, out);
    if (places->root != NULL) {
        enum err err = image_root(places, out);
        if (err != ERR_OK)
            return err;
    } else {
        root_folders(out);
    }
    args3(out, "--proc", "/proc", "--perms");
    arg(out, "0755");
    arg(out, "--dir");
    arg(out, "/etc");
    etc_files(places, out);
    devices(doc, out);
    folders(doc, places, out);
    arg(out, "--seccomp");
    arg_number(out, (uint64_t)places->filter_fd);
    for (uint32_t i = 0; i < doc->env_count; i++) {
        arg(out, "--setenv");
        arg_slice(out, doc->envs[i].key);
        arg_slice(out, doc->envs[i].value);
    }
    return buffer_status(out);
}
