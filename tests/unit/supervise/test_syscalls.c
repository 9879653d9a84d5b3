/* The filter of system calls, put on a process of its own and tried. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervise/syscalls.h"

static int with_filter(int (*inside)(void))
{
    struct buffer filter;
    int status = 0;
    buffer_init(&filter, SYSCALLS_BYTES_MAX);
    assert_int_equal(syscalls_filter(&filter), ERR_OK);
    struct slice bytes = buffer_slice(&filter);
    assert_int_equal(bytes.len % sizeof(struct sock_filter), 0);
    struct sock_fprog program = {
        .len = (unsigned short)(bytes.len / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(void *)(uintptr_t)bytes.data,
    };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
            _exit(100);
        _exit(inside());
    }
    buffer_deinit(&filter);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status)); /* nothing is killed */
    return WEXITSTATUS(status);
}

/* All arguments -1 or 0: without the filter, root gets EBADF, EFAULT, EINVAL or success. */
static int refused_calls(void)
{
    static const struct {
        long number;
        int error;
    } calls[] = {
        {SYS_mount, EPERM},
        {SYS_umount2, EPERM},
        {SYS_fsopen, EPERM},
        {SYS_move_mount, EPERM},
        {SYS_open_tree, EPERM},
        {SYS_mount_setattr, EPERM},
        {SYS_bpf, EPERM},
        {SYS_perf_event_open, EPERM},
        {SYS_keyctl, EPERM},
        {SYS_add_key, EPERM},
        {SYS_request_key, EPERM},
        {SYS_finit_module, EPERM},
        {SYS_init_module, EPERM},
        {SYS_userfaultfd, EPERM},
        {SYS_unshare, EPERM},
        {SYS_setns, EPERM},
        {SYS_swapon, EPERM},
        {SYS_open_by_handle_at, EPERM},
        {SYS_io_uring_setup, ENOSYS},
        {SYS_io_uring_enter, ENOSYS},
        {SYS_clone3, ENOSYS},
        {SYS_kexec_load, EPERM},
        {SYS_pivot_root, EPERM},
        {SYS_quotactl, EPERM},
        {SYS_fanotify_init, EPERM},
        {SYS_chroot, EPERM},
        {SYS_syslog, EPERM},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (syscall(calls[i].number, -1L, 0L, 0L, 0L, 0L, 0L) != -1 || errno != calls[i].error)
            return (int)i + 1;
    return 0;
}

static void calls_into_the_depths_of_the_kernel_are_refused(void **state)
{
    (void)state;
    assert_int_equal(with_filter(refused_calls), 0);
}

static int namespaces(void)
{
    static const unsigned long kinds[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWNET,   CLONE_NEWPID,
                                          CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (syscall(SYS_clone, kinds[i] | SIGCHLD, 0L, 0L, 0L, 0L) != -1 || errno != EPERM)
            return (int)i + 1;
    pid_t pid = fork(); /* clone without them */
    if (pid == 0)
        _exit(0);
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 99;
}

static void processes_can_be_made_and_namespaces_cannot(void **state)
{
    (void)state;
    assert_int_equal(with_filter(namespaces), 0);
}

static int sockets(void)
{
    static const int refused[] = {AF_VSOCK, AF_ALG, AF_PACKET, AF_BLUETOOTH, AF_CAN, AF_TIPC};
    static const int allowed[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (socket(refused[i], SOCK_DGRAM, 0) != -1 || errno != EAFNOSUPPORT)
            return (int)i + 1;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
        if (socket(allowed[i], SOCK_DGRAM, 0) < 0 && errno != EAFNOSUPPORT)
            return (int)i + 51;
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

static void only_the_usual_families_of_sockets_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(with_filter(sockets), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_into_the_depths_of_the_kernel_are_refused),
        cmocka_unit_test(processes_can_be_made_and_namespaces_cannot),
        cmocka_unit_test(only_the_usual_families_of_sockets_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
