#include "supervise/syscalls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "name this processor's AUDIT_ARCH_ here, and look through the list below"
#endif

enum {
    X32_BIT = 0x40000000, /* x86-64's second table of the same calls */
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                 CLONE_NEWPID | CLONE_NEWNET,
    OPEN_TREE_ATTR = 467, /* newer than the headers of Debian 12 */
};

struct refusal {
    uint32_t number;
    uint16_t error;
};

/* ENOSYS where programs know how to do without, EPERM elsewhere. */
static const struct refusal REFUSED[] = {
    /* the kernel itself */
    {SYS_init_module, EPERM},
    {SYS_finit_module, EPERM},
    {SYS_delete_module, EPERM},
    {SYS_kexec_load, EPERM},
    {SYS_kexec_file_load, EPERM},
    {SYS_reboot, EPERM},
    {SYS_syslog, EPERM},
    {SYS_acct, EPERM},
    {SYS_swapon, EPERM},
    {SYS_swapoff, EPERM},
    {SYS_settimeofday, EPERM},
    {SYS_clock_settime, EPERM},
    {SYS_sethostname, EPERM},
    {SYS_setdomainname, EPERM},
    /* file systems and namespaces */
    {SYS_mount, EPERM},
    {SYS_umount2, EPERM},
    {SYS_pivot_root, EPERM},
    {SYS_chroot, EPERM},
    {SYS_open_tree, EPERM},
    {SYS_move_mount, EPERM},
    {SYS_fsopen, EPERM},
    {SYS_fsconfig, EPERM},
    {SYS_fsmount, EPERM},
    {SYS_fspick, EPERM},
    {SYS_mount_setattr, EPERM},
    {OPEN_TREE_ATTR, EPERM},
    {SYS_quotactl, EPERM},
    {SYS_quotactl_fd, EPERM},
    {SYS_open_by_handle_at, EPERM},
    {SYS_fanotify_init, EPERM},
    {SYS_unshare, EPERM},
    {SYS_setns, EPERM},
    {SYS_clone3, ENOSYS}, /* its flags cannot be seen; libc then takes clone */
    /* large, young or often broken parts of the kernel */
    {SYS_bpf, EPERM},
    {SYS_perf_event_open, EPERM},
    {SYS_userfaultfd, EPERM},
    {SYS_io_uring_setup, ENOSYS},
    {SYS_io_uring_enter, ENOSYS},
    {SYS_io_uring_register, ENOSYS},
    {SYS_lookup_dcookie, EPERM},
    {SYS_nfsservctl, ENOSYS},
    /* keys are the user's, not the namespace's */
    {SYS_add_key, EPERM},
    {SYS_request_key, EPERM},
    {SYS_keyctl, EPERM},
#if defined(__x86_64__)
    {SYS_iopl, EPERM},
    {SYS_ioperm, EPERM},
    {SYS_modify_ldt, EPERM},
    {SYS_uselib, ENOSYS},
    {SYS__sysctl, ENOSYS},
    {SYS_create_module, ENOSYS},
#endif
};

/* The others are not divided by network namespaces (vsock reaches the hypervisor) or are seldom
 * used and often broken. */
static const uint32_t FAMILIES[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static void put(struct buffer *out, uint16_t code, uint32_t value, uint8_t if_true,
                uint8_t if_false)
{
    const struct sock_filter one = {.code = code, .jt = if_true, .jf = if_false, .k = value};
    buffer_append_bytes(out, &one, sizeof(one));
}

static void load(struct buffer *out, size_t offset)
{
    put(out, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct buffer *out, uint32_t action)
{
    put(out, BPF_RET | BPF_K, action, 0, 0);
}

static size_t low_half(int argument) /* both processors are little-endian */
{
    return offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (size_t)argument;
}

enum err syscalls_filter(struct buffer *out)
{
    const uint32_t families = sizeof(FAMILIES) / sizeof(FAMILIES[0]);
    load(out, offsetof(struct seccomp_data, arch));
    put(out, BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1, 0);
    answer(out, SECCOMP_RET_ERRNO | ENOSYS); /* 32-bit calls, whose numbers mean others */
    load(out, offsetof(struct seccomp_data, nr));
    put(out, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    answer(out, SECCOMP_RET_ERRNO | ENOSYS);
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        put(out, BPF_JMP | BPF_JEQ | BPF_K, REFUSED[i].number, 0, 1);
        answer(out, SECCOMP_RET_ERRNO | REFUSED[i].error);
    }
    put(out, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    load(out, low_half(0));
    put(out, BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1);
    answer(out, SECCOMP_RET_ERRNO | EPERM);
    answer(out, SECCOMP_RET_ALLOW);
    put(out, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, (uint8_t)(2 + families));
    load(out, low_half(0));
    for (uint32_t i = 0; i < families; i++)
        put(out, BPF_JMP | BPF_JEQ | BPF_K, FAMILIES[i], (uint8_t)(families - i), 0);
    answer(out, SECCOMP_RET_ERRNO | EAFNOSUPPORT);
    answer(out, SECCOMP_RET_ALLOW);
    return buffer_status(out);
}
