/* Processes, pipes, clocks, the kernel's log and the end of the machine: host functions. See host.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#define POLL_MAX 256
/* The kernel refuses longer records (PRINTKRB_RECORD_MAX, 1024), the level included. */
#define KMSG_TEXT_MAX 960
#define EXIT_SPAWN_FAILED 127

static sigset_t signals_at_start;
static bool is_raised;

/*
 * At boot the kernel's own workers share the processor with PID 1 (the maps of tracing alone take 80 ms of an emulated
 * cortex-a53). Nothing that the boot waits for is among them, so it goes first; what it starts gets the usual share.
 */
#define BOOT_PRIORITY (-20)
#define USUAL_PRIORITY 0

void prepare_process(void)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    /* Ignored by whoever started this program, children would vanish unseen. */
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, &signals_at_start);
    is_raised = getpid() == 1 && setpriority(PRIO_PROCESS, 0, BOOT_PRIORITY) == 0;
}

static void restore_priority(void)
{
    if (is_raised)
        (void)setpriority(PRIO_PROCESS, 0, USUAL_PRIORITY);
    is_raised = false;
}

/* For a program that takes the place of this one, or of a copy of it. */
static void restore_process(void)
{
    restore_priority();
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &signals_at_start, NULL);
}

static JSValue call_pid(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc, (void)argv;
    return JS_NewInt32(ctx, getpid());
}

typedef struct {
    TextList argv;
    TextList env;
    Text cwd;
    int output;
} Job;

/* In the child: everything up to execve(2). Returns only when something failed, with errno. */
static void become(const Job *job)
{
    int output = -1;
    if (job->output >= 0 && (output = fcntl(job->output, F_DUPFD_CLOEXEC, 3)) < 0)
        return;
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || setsid() < 0)
        return;
    /* dup2 of a descriptor onto itself would leave it close-on-exec. */
    if (input == 0 ? fcntl(0, F_SETFD, 0) < 0 : dup2(input, 0) < 0)
        return;
    if (output >= 0 && (dup2(output, 1) < 0 || dup2(output, 2) < 0))
        return;
    if (job->cwd.value != NULL && chdir(job->cwd.value) < 0)
        return;
    restore_process();
    execve(job->argv.items[0], job->argv.items, job->env.items);
}

/* Starts a job: its process, or -1 with errno, also when the child could not become the program. */
static pid_t start(const Job *job)
{
    int report[2];
    int error = 0;
    if (pipe2(report, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        /* The pipe is none of the descriptors 0 to 2, which are replaced: those are open since the start of main. */
        become(job);
        error = errno;
        while (write(report[1], &error, sizeof error) < 0 && errno == EINTR)
            continue;
        _exit(EXIT_SPAWN_FAILED);
    }
    int fork_error = errno;
    close(report[1]);
    ssize_t length = 0;
    if (pid > 0) {
        do
            length = read(report[0], &error, sizeof error);
        while (length < 0 && errno == EINTR);
    }
    close(report[0]);
    if (pid < 0) {
        errno = fork_error;
        return -1;
    }
    if (length != (ssize_t)sizeof error)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    errno = error;
    return -1;
}

/* spawn(argv, env, output or -1, cwd or null) -> pid. */
static JSValue call_spawn(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Job job = {{NULL, 0}, {NULL, 0}, {NULL, 0}, -1};
    int64_t output = -1;
    JSValue result = JS_EXCEPTION;
    (void)self, (void)argc;
    if (!get_integer(ctx, argv[2], "output", -1, INT_MAX, &output))
        return JS_EXCEPTION;
    job.output = (int)output;
    if (get_text_list(ctx, argv[0], "argv", &job.argv) && get_text_list(ctx, argv[1], "env", &job.env) &&
        (JS_IsNull(argv[3]) || get_text(ctx, argv[3], "cwd", &job.cwd))) {
        if (job.argv.count == 0) {
            throw_error_number(ctx, EINVAL, "spawn", NULL);
        } else {
            pid_t pid = start(&job);
            result = pid < 0 ? throw_errno(ctx, "spawn", job.argv.items[0]) : JS_NewInt32(ctx, pid);
        }
    }
    free_text_list(ctx, &job.argv);
    free_text_list(ctx, &job.env);
    free_text(ctx, &job.cwd);
    return result;
}

/* exec(argv, env): returns only by throwing. */
static JSValue call_exec(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    TextList arguments = {NULL, 0};
    TextList env = {NULL, 0};
    (void)self, (void)argc;
    if (get_text_list(ctx, argv[0], "argv", &arguments) && get_text_list(ctx, argv[1], "env", &env)) {
        int error = EINVAL;
        if (arguments.count > 0) {
            restore_process();
            execve(arguments.items[0], arguments.items, env.items);
            error = errno;
            prepare_process();
        }
        throw_error_number(ctx, error, "execve", arguments.count > 0 ? arguments.items[0] : NULL);
    }
    free_text_list(ctx, &arguments);
    free_text_list(ctx, &env);
    return JS_EXCEPTION;
}

/* fork() -> 0 in the copy, which leads a session of its own. */
static JSValue call_fork(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc, (void)argv;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        restore_priority();
    }
    return pid < 0 ? throw_errno(ctx, "fork", NULL) : JS_NewInt32(ctx, pid);
}

/* wait(milliseconds) -> [pid, exit code or 128 + signal], or undefined. */
static JSValue call_wait(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    sigset_t child_ended;
    int timeout = 0;
    (void)self, (void)argc;
    if (!get_timeout(ctx, argv[0], &timeout))
        return JS_EXCEPTION;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    int64_t deadline = monotonic_ns() + (int64_t)timeout * 1000000;
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
            JSValue items[] = {JS_NewInt32(ctx, pid), JS_NewInt32(ctx, code)};
            return JS_NewArrayFrom(ctx, COUNT_OF(items), items);
        }
        if (pid < 0 && errno == ECHILD)
            return JS_UNDEFINED;
        if (pid < 0 && errno != EINTR)
            return throw_errno(ctx, "waitpid", NULL);
        int left = remaining_ms(deadline);
        if (left == 0)
            return JS_UNDEFINED;
        /* Blocked, the signal waits in its queue: one that comes between the two calls is not lost. */
        struct timespec time = {left / 1000, (long)(left % 1000) * 1000000};
        (void)sigtimedwait(&child_ended, NULL, &time);
    }
}

/* kill(pid, signal). */
static JSValue call_kill(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t pid = 0;
    int64_t number = 0;
    (void)self, (void)argc;
    if (!get_integer(ctx, argv[0], "pid", -INT_MAX, INT_MAX, &pid) ||
        !get_integer(ctx, argv[1], "signal", 0, SIGRTMAX, &number))
        return JS_EXCEPTION;
    return kill((pid_t)pid, (int)number) < 0 ? throw_errno(ctx, "kill", NULL) : JS_UNDEFINED;
}

/* pipe() -> [read end, write end]. */
static JSValue call_pipe(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int ends[2];
    (void)self, (void)argc, (void)argv;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return throw_errno(ctx, "pipe2", NULL);
    JSValue items[] = {JS_NewInt32(ctx, ends[0]), JS_NewInt32(ctx, ends[1])};
    return JS_NewArrayFrom(ctx, COUNT_OF(items), items);
}

/* poll(fds, milliseconds) -> those that can be read or have ended. */
static JSValue call_poll(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct pollfd waiting[POLL_MAX];
    JSValue ready[POLL_MAX];
    int64_t length = 0;
    int timeout = 0;
    int found = 0;
    (void)self, (void)argc;
    if (!JS_IsArray(argv[0]))
        return JS_ThrowTypeError(ctx, "poll: expected an array");
    if (!get_timeout(ctx, argv[1], &timeout) || JS_GetLength(ctx, argv[0], &length) < 0)
        return JS_EXCEPTION;
    if (length > POLL_MAX)
        return throw_error_number(ctx, EINVAL, "poll", "too many descriptors");
    for (int64_t i = 0; i < length; i++) {
        JSValue item = JS_GetPropertyInt64(ctx, argv[0], i);
        bool good = !JS_IsException(item) && get_fd(ctx, item, &waiting[i].fd);
        JS_FreeValue(ctx, item);
        if (!good)
            return JS_EXCEPTION;
        waiting[i].events = POLLIN;
        waiting[i].revents = 0;
    }
    int64_t deadline = monotonic_ns() + (int64_t)timeout * 1000000;
    while ((found = poll(waiting, (nfds_t)length, remaining_ms(deadline))) < 0)
        if (errno != EINTR)
            return throw_errno(ctx, "poll", NULL);
    int count = 0;
    for (int64_t i = 0; i < length && found > 0; i++) {
        if ((waiting[i].revents & POLLNVAL) != 0)
            return throw_error_number(ctx, EBADF, "poll", NULL);
        if (waiting[i].revents != 0)
            ready[count++] = JS_NewInt32(ctx, waiting[i].fd);
    }
    return JS_NewArrayFrom(ctx, count, ready);
}

/* clock() -> [nanoseconds of CLOCK_BOOTTIME, ticks of the counter, its ticks per second or 0]. */
static JSValue call_clock(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct timespec now;
    uint64_t ticks = 0;
    uint64_t hz = 0;
    (void)self, (void)argc, (void)argv;
    if (clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return throw_errno(ctx, "clock_gettime", NULL);
#if defined(__aarch64__)
    /* The barrier keeps the processor from reading the counter before the clock. */
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
#elif defined(__x86_64__)
    uint32_t low = 0;
    uint32_t high = 0;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    ticks = (uint64_t)high << 32 | low;
#endif
    JSValue items[] = {
        JS_NewFloat64(ctx, (double)now.tv_sec * 1e9 + (double)now.tv_nsec),
        JS_NewFloat64(ctx, (double)ticks),
        JS_NewFloat64(ctx, (double)hz),
    };
    return JS_NewArrayFrom(ctx, COUNT_OF(items), items);
}

/* sleep(milliseconds). */
static JSValue call_sleep(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int time = 0;
    (void)self, (void)argc;
    if (!get_timeout(ctx, argv[0], &time))
        return JS_EXCEPTION;
    struct timespec left = {time / 1000, (long)(time % 1000) * 1000000};
    while (nanosleep(&left, &left) < 0)
        if (errno != EINTR)
            return throw_errno(ctx, "nanosleep", NULL);
    return JS_UNDEFINED;
}

int write_kernel_log(int level, const char *text, size_t length)
{
    char record[KMSG_TEXT_MAX + 4] = {'<', (char)('0' + level), '>'};
    if (length > KMSG_TEXT_MAX)
        length = KMSG_TEXT_MAX;
    memcpy(record + 3, text, length);
    /* Opened anew, a record counts on no one's limit of records per second (printk.devkmsg). */
    int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, record, length + 3);
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

/* logKernel(level, text). */
static JSValue call_log_kernel(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t level = 0;
    Text text;
    (void)self, (void)argc;
    if (!get_integer(ctx, argv[0], "level", 0, 7, &level) || !get_text(ctx, argv[1], "kmsg", &text))
        return JS_EXCEPTION;
    int failed = write_kernel_log((int)level, text.value, text.length);
    free_text(ctx, &text);
    return failed < 0 ? throw_errno(ctx, "write", "/dev/kmsg") : JS_UNDEFINED;
}

/* endMachine(command): sync, then reboot(2); returns only by throwing. */
static JSValue call_end_machine(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t command = 0;
    (void)self, (void)argc;
    if (!get_integer(ctx, argv[0], "command", 0, UINT32_MAX, &command))
        return JS_EXCEPTION;
    sync();
    reboot((int)(uint32_t)command);
    return throw_errno(ctx, "reboot", NULL);
}

static const JSCFunctionListEntry PROCESS_CALLS[] = {
    JS_CFUNC_DEF("pid", 0, call_pid),
    JS_CFUNC_DEF("spawn", 4, call_spawn),
    JS_CFUNC_DEF("exec", 2, call_exec),
    JS_CFUNC_DEF("fork", 0, call_fork),
    JS_CFUNC_DEF("wait", 1, call_wait),
    JS_CFUNC_DEF("kill", 2, call_kill),
    JS_CFUNC_DEF("pipe", 0, call_pipe),
    JS_CFUNC_DEF("poll", 2, call_poll),
    JS_CFUNC_DEF("clock", 0, call_clock),
    JS_CFUNC_DEF("sleep", 1, call_sleep),
    JS_CFUNC_DEF("logKernel", 2, call_log_kernel),
    JS_CFUNC_DEF("endMachine", 1, call_end_machine),
};

bool add_process_calls(JSContext *ctx, JSValueConst host)
{
    return JS_SetPropertyFunctionList(ctx, host, PROCESS_CALLS, COUNT_OF(PROCESS_CALLS)) == 0;
}
