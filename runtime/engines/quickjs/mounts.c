/*
 * Mounts, modules and the kernel's announcements of devices: host functions. See host.h.
 *
 * The calls of the mount API are made by number, because older C libraries have no functions for them.
 * Sources: include/uapi/linux/mount.h, mount(2), netlink(7), finit_module(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define MOUNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_BIND | MS_MOVE | MS_REC)
#define UNMOUNT_FLAGS (MNT_DETACH | UMOUNT_NOFOLLOW)

/* include/uapi/linux/mount.h. */
#define ATTRIBUTE_FLAGS UINT64_C(0x0010000f) /* RDONLY NOSUID NODEV NOEXEC, IDMAP */
#define FSOPEN_CLOSE_ON_EXEC 1
#define FSMOUNT_CLOSE_ON_EXEC 1
#define MOVE_MOUNT_FROM_FD 4
#define FSCONFIG_COMMAND_MAX 8

struct attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
};

/* The kernel's announcements, not those that udev sends on (lib/kobject_uevent.c). */
#define UEVENT_GROUP_KERNEL 1
/* Room for the announcements of a whole boot: a few hundred of some hundred bytes. */
#define UEVENT_BUFFER_SIZE (1024 * 1024)
/* UEVENT_BUFFER_SIZE of include/linux/kobject.h is 2048, and the device's path comes before it. */
#define UEVENT_SIZE_MAX 8192

/* mount(source, target, type, flags, data). */
static JSValue call_mount(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text texts[4] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}};
    static const int PLACES[4] = {0, 1, 2, 4};
    unsigned long flags = 0;
    JSValue result = JS_EXCEPTION;
    (void)self, (void)argc;
    bool good = get_bits(ctx, argv[3], "mount flags", MOUNT_FLAGS, &flags);
    for (size_t i = 0; good && i < COUNT_OF(texts); i++)
        good = get_text(ctx, argv[PLACES[i]], "mount", &texts[i]);
    if (good) {
        int failed = mount(texts[0].value, texts[1].value, texts[2].value, flags, texts[3].value);
        result = failed < 0 ? throw_errno(ctx, "mount", texts[1].value) : JS_UNDEFINED;
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        free_text(ctx, &texts[i]);
    return result;
}

/* unmount(target, flags). */
static JSValue call_unmount(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    unsigned long flags = 0;
    Text target;
    (void)self, (void)argc;
    if (!get_bits(ctx, argv[1], "unmount flags", UNMOUNT_FLAGS, &flags) || !get_text(ctx, argv[0], "umount2", &target))
        return JS_EXCEPTION;
    int failed = umount2(target.value, (int)flags);
    JSValue result = failed < 0 ? throw_errno(ctx, "umount2", target.value) : JS_UNDEFINED;
    free_text(ctx, &target);
    return result;
}

/* fsopen(type) -> context. */
static JSValue call_fsopen(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text type;
    (void)self, (void)argc;
    if (!get_text(ctx, argv[0], "fsopen", &type))
        return JS_EXCEPTION;
    long fd = syscall(SYS_fsopen, type.value, FSOPEN_CLOSE_ON_EXEC);
    JSValue result = fd < 0 ? throw_errno(ctx, "fsopen", type.value) : JS_NewInt64(ctx, fd);
    free_text(ctx, &type);
    return result;
}

/* fsconfig(context, command, key or null, value or null, number). */
static JSValue call_fsconfig(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text key = {NULL, 0};
    Text value = {NULL, 0};
    int64_t command = 0;
    int64_t number = 0;
    int fd = -1;
    JSValue result = JS_EXCEPTION;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_integer(ctx, argv[1], "command", 0, FSCONFIG_COMMAND_MAX, &command) ||
        !get_integer(ctx, argv[4], "number", 0, INT32_MAX, &number))
        return JS_EXCEPTION;
    if ((JS_IsNull(argv[2]) || get_text(ctx, argv[2], "fsconfig", &key)) &&
        (JS_IsNull(argv[3]) || get_text(ctx, argv[3], "fsconfig", &value))) {
        long failed = syscall(SYS_fsconfig, fd, (int)command, key.value, value.value, (int)number);
        result = failed < 0 ? throw_errno(ctx, "fsconfig", key.value) : JS_UNDEFINED;
    }
    free_text(ctx, &key);
    free_text(ctx, &value);
    return result;
}

/* fsmount(context, attributes) -> mount. */
static JSValue call_fsmount(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    unsigned long attributes = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_bits(ctx, argv[1], "attributes", ATTRIBUTE_FLAGS, &attributes))
        return JS_EXCEPTION;
    long mount_fd = syscall(SYS_fsmount, fd, FSMOUNT_CLOSE_ON_EXEC, (int)attributes);
    return mount_fd < 0 ? throw_errno(ctx, "fsmount", NULL) : JS_NewInt64(ctx, mount_fd);
}

/* moveMount(mount, target). */
static JSValue call_move_mount(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text target;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_text(ctx, argv[1], "move_mount", &target))
        return JS_EXCEPTION;
    long failed = syscall(SYS_move_mount, fd, "", AT_FDCWD, target.value, MOVE_MOUNT_FROM_FD);
    JSValue result = failed < 0 ? throw_errno(ctx, "move_mount", target.value) : JS_UNDEFINED;
    free_text(ctx, &target);
    return result;
}

/* mountSetattr(mount, attributes to set, user namespace or 0). */
static JSValue call_mount_setattr(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct attributes attributes = {0, 0, 0, 0};
    unsigned long set = 0;
    int user_namespace = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_bits(ctx, argv[1], "attributes", ATTRIBUTE_FLAGS, &set) ||
        !get_fd(ctx, argv[2], &user_namespace))
        return JS_EXCEPTION;
    attributes.set = set;
    attributes.user_namespace = (uint64_t)user_namespace;
    long failed = syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
    return failed < 0 ? throw_errno(ctx, "mount_setattr", NULL) : JS_UNDEFINED;
}

/* chroot(path) and chdir(path). */
static JSValue call_chroot(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text path;
    (void)self, (void)argc;
    if (!get_text(ctx, argv[0], "chroot", &path))
        return JS_EXCEPTION;
    JSValue result = chroot(path.value) < 0 ? throw_errno(ctx, "chroot", path.value) : JS_UNDEFINED;
    free_text(ctx, &path);
    return result;
}

static JSValue call_chdir(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text path;
    (void)self, (void)argc;
    if (!get_text(ctx, argv[0], "chdir", &path))
        return JS_EXCEPTION;
    JSValue result = chdir(path.value) < 0 ? throw_errno(ctx, "chdir", path.value) : JS_UNDEFINED;
    free_text(ctx, &path);
    return result;
}

/* loadModule(file, parameters). */
static JSValue call_load_module(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text parameters;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_text(ctx, argv[1], "finit_module", &parameters))
        return JS_EXCEPTION;
    long failed = syscall(SYS_finit_module, fd, parameters.value, 0);
    free_text(ctx, &parameters);
    return failed < 0 ? throw_errno(ctx, "finit_module", NULL) : JS_UNDEFINED;
}

/* openUevents() -> socket. */
static JSValue call_open_uevents(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct sockaddr_nl address;
    int size = UEVENT_BUFFER_SIZE;
    (void)self, (void)argc, (void)argv;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    if (fd < 0)
        return throw_errno(ctx, "socket", "uevent");
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    address.nl_groups = UEVENT_GROUP_KERNEL;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return throw_error_number(ctx, error, "bind", "uevent");
    }
    /* Only root may go beyond the system's limit; the default size serves everyone else. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    return JS_NewInt32(ctx, fd);
}

/* One message of the kernel into `buffer`: its length, 0 when there is none now, -1 with errno. */
static ssize_t receive_from_kernel(int fd, char *buffer, size_t size)
{
    for (;;) {
        struct sockaddr_nl sender;
        socklen_t sender_size = sizeof sender;
        ssize_t length = recvfrom(fd, buffer, size, 0, (struct sockaddr *)&sender, &sender_size);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return errno == EAGAIN ? 0 : -1;
        /* Any process may send to this socket; only the kernel has the number 0. */
        if (length > 0 && sender_size == sizeof sender && sender.nl_pid == 0)
            return length;
    }
}

static JSValue lines_of(JSContext *ctx, const char *text, size_t length)
{
    JSValue lines = JS_NewArray(ctx);
    uint32_t count = 0;
    for (size_t at = 0; at < length && !JS_IsException(lines);) {
        size_t size = strnlen(text + at, length - at);
        JSValue line = JS_NewStringLen(ctx, text + at, size);
        if (JS_IsException(line) || JS_DefinePropertyValueUint32(ctx, lines, count++, line, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, lines);
            lines = JS_EXCEPTION;
        }
        at += size + 1;
    }
    return lines;
}

/* readUevent(socket, milliseconds) -> the strings of one announcement, or undefined. */
static JSValue call_read_uevent(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    static char buffer[UEVENT_SIZE_MAX];
    int timeout = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_timeout(ctx, argv[1], &timeout))
        return JS_EXCEPTION;
    int64_t deadline = monotonic_ns() + (int64_t)timeout * 1000000;
    for (;;) {
        ssize_t length = receive_from_kernel(fd, buffer, sizeof buffer);
        if (length < 0)
            return throw_errno(ctx, "recv", "uevent");
        if (length > 0)
            return lines_of(ctx, buffer, (size_t)length);
        struct pollfd waiting = {fd, POLLIN, 0};
        int ready = poll(&waiting, 1, remaining_ms(deadline));
        if (ready < 0 && errno != EINTR)
            return throw_errno(ctx, "poll", "uevent");
        if (ready == 0)
            return JS_UNDEFINED;
    }
}

static const JSCFunctionListEntry MOUNT_CALLS[] = {
    JS_CFUNC_DEF("mount", 5, call_mount),
    JS_CFUNC_DEF("unmount", 2, call_unmount),
    JS_CFUNC_DEF("fsopen", 1, call_fsopen),
    JS_CFUNC_DEF("fsconfig", 5, call_fsconfig),
    JS_CFUNC_DEF("fsmount", 2, call_fsmount),
    JS_CFUNC_DEF("moveMount", 2, call_move_mount),
    JS_CFUNC_DEF("mountSetattr", 3, call_mount_setattr),
    JS_CFUNC_DEF("chroot", 1, call_chroot),
    JS_CFUNC_DEF("chdir", 1, call_chdir),
    JS_CFUNC_DEF("loadModule", 2, call_load_module),
    JS_CFUNC_DEF("openUevents", 0, call_open_uevents),
    JS_CFUNC_DEF("readUevent", 2, call_read_uevent),
};

bool add_mount_calls(JSContext *ctx, JSValueConst host)
{
    return JS_SetPropertyFunctionList(ctx, host, MOUNT_CALLS, COUNT_OF(MOUNT_CALLS)) == 0;
}
