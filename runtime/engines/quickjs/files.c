/* Files, fs-verity, loop devices and the hash: host functions around descriptors. See host.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fsverity.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "host.h"

/* 2^53 - 1: the largest whole number that JavaScript holds exactly. */
#define SAFE_MAX INT64_C(9007199254740991)
#define PERMISSIONS_MAX 07777
#define OPEN_FLAGS (O_WRONLY | O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_DIRECTORY | O_NOFOLLOW | O_PATH | O_NONBLOCK)
/* A directory with more names than this is none of those that are listed here; it would only eat the memory. */
#define LIST_MAX 65536
#define VERITY_DIGEST_MAX 64

/* open(path, flags, permissions) -> fd. Always close-on-exec, never a controlling terminal. */
static JSValue call_open(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    unsigned long flags = 0;
    int64_t permissions = 0;
    Text path;
    (void)self, (void)argc;
    if (!get_bits(ctx, argv[1], "open flags", OPEN_FLAGS, &flags) ||
        !get_integer(ctx, argv[2], "permissions", 0, PERMISSIONS_MAX, &permissions) ||
        !get_text(ctx, argv[0], "open", &path))
        return JS_EXCEPTION;
    int fd = open(path.value, (int)flags | O_CLOEXEC | O_NOCTTY, (mode_t)permissions);
    JSValue result = fd < 0 ? throw_errno(ctx, "open", path.value) : JS_NewInt32(ctx, fd);
    free_text(ctx, &path);
    return result;
}

static JSValue call_close(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    return close(fd) < 0 ? throw_errno(ctx, "close", NULL) : JS_UNDEFINED;
}

/* stat(fd) -> [mode, size, dev, ino]. */
static JSValue call_stat(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct stat stat;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    if (fstat(fd, &stat) < 0)
        return throw_errno(ctx, "fstat", NULL);
    JSValue items[] = {
        JS_NewInt64(ctx, stat.st_mode),
        JS_NewInt64(ctx, stat.st_size),
        JS_NewInt64(ctx, (int64_t)stat.st_dev),
        JS_NewInt64(ctx, (int64_t)stat.st_ino),
    };
    return JS_NewArrayFrom(ctx, COUNT_OF(items), items);
}

/* seekEnd(fd) -> the size of a file or block device. */
static JSValue call_seek_end(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    off_t size = lseek(fd, 0, SEEK_END);
    return size < 0 ? throw_errno(ctx, "lseek", NULL) : JS_NewInt64(ctx, size);
}

/* pread(fd, into, offset) -> bytes read; fewer than asked for only at the end. */
static JSValue call_pread(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t offset = 0;
    uint8_t *bytes = NULL;
    size_t length = 0;
    size_t done = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_integer(ctx, argv[2], "offset", 0, SAFE_MAX, &offset) ||
        !get_bytes(ctx, argv[1], &bytes, &length))
        return JS_EXCEPTION;
    while (done < length) {
        ssize_t count = pread(fd, bytes + done, length - done, offset + (off_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return throw_errno(ctx, "pread", NULL);
        if (count == 0)
            break;
        done += (size_t)count;
    }
    return JS_NewInt64(ctx, (int64_t)done);
}

/* readahead(fd, offset, length): starts reading; what the kernel does not want to read it leaves out. */
static JSValue call_readahead(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t offset = 0;
    int64_t length = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_integer(ctx, argv[1], "offset", 0, SAFE_MAX, &offset) ||
        !get_integer(ctx, argv[2], "length", 0, SAFE_MAX, &length))
        return JS_EXCEPTION;
    return readahead(fd, offset, (size_t)length) < 0 ? throw_errno(ctx, "readahead", NULL) : JS_UNDEFINED;
}

/* pwrite(fd, bytes, offset): all of them. */
static JSValue call_pwrite(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t offset = 0;
    uint8_t *bytes = NULL;
    size_t length = 0;
    size_t done = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_integer(ctx, argv[2], "offset", 0, SAFE_MAX, &offset) ||
        !get_bytes(ctx, argv[1], &bytes, &length))
        return JS_EXCEPTION;
    while (done < length) {
        ssize_t count = pwrite(fd, bytes + done, length - done, offset + (off_t)done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return throw_errno(ctx, "pwrite", NULL);
        done += (size_t)count;
    }
    return JS_UNDEFINED;
}

/* read(fd, into) -> what there is now, 0 at the end. */
static JSValue call_read(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    ssize_t count = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_bytes(ctx, argv[1], &bytes, &length))
        return JS_EXCEPTION;
    do
        count = read(fd, bytes, length);
    while (count < 0 && errno == EINTR);
    return count < 0 ? throw_errno(ctx, "read", NULL) : JS_NewInt64(ctx, count);
}

/* write(fd, bytes): all of them, waiting in the kernel where it must. */
static JSValue call_write(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_bytes(ctx, argv[1], &bytes, &length))
        return JS_EXCEPTION;
    for (size_t done = 0; done < length;) {
        ssize_t count = write(fd, bytes + done, length - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return throw_errno(ctx, "write", NULL);
        done += (size_t)count;
    }
    return JS_UNDEFINED;
}

/* A call that takes a descriptor and nothing else. */
static JSValue on_fd(JSContext *ctx, JSValueConst value, const char *call, int (*function)(int))
{
    int fd = -1;
    if (!get_fd(ctx, value, &fd))
        return JS_EXCEPTION;
    return function(fd) < 0 ? throw_errno(ctx, call, NULL) : JS_UNDEFINED;
}

static JSValue call_fsync(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc;
    return on_fd(ctx, argv[0], "fsync", fsync);
}

static JSValue call_fdatasync(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc;
    return on_fd(ctx, argv[0], "fdatasync", fdatasync);
}

/* chmod(fd, permissions): what the umask took away. */
static JSValue call_chmod(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t permissions = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) ||
        !get_integer(ctx, argv[1], "permissions", 0, PERMISSIONS_MAX, &permissions))
        return JS_EXCEPTION;
    return fchmod(fd, (mode_t)permissions) < 0 ? throw_errno(ctx, "fchmod", NULL) : JS_UNDEFINED;
}

static JSValue call_mkdir(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int64_t permissions = 0;
    Text path;
    (void)self, (void)argc;
    if (!get_integer(ctx, argv[1], "permissions", 0, PERMISSIONS_MAX, &permissions) ||
        !get_text(ctx, argv[0], "mkdir", &path))
        return JS_EXCEPTION;
    int failed = mkdir(path.value, (mode_t)permissions);
    JSValue result = failed < 0 ? throw_errno(ctx, "mkdir", path.value) : JS_UNDEFINED;
    free_text(ctx, &path);
    return result;
}

/* A call that takes a path and nothing else. */
static JSValue on_path(JSContext *ctx, JSValueConst value, const char *call, int (*function)(const char *))
{
    Text path;
    if (!get_text(ctx, value, call, &path))
        return JS_EXCEPTION;
    JSValue result = function(path.value) < 0 ? throw_errno(ctx, call, path.value) : JS_UNDEFINED;
    free_text(ctx, &path);
    return result;
}

static JSValue call_rmdir(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc;
    return on_path(ctx, argv[0], "rmdir", rmdir);
}

static JSValue call_unlink(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc;
    return on_path(ctx, argv[0], "unlink", unlink);
}

static JSValue call_rename(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Text from;
    Text to;
    (void)self, (void)argc;
    if (!get_text(ctx, argv[0], "rename", &from))
        return JS_EXCEPTION;
    JSValue result = JS_EXCEPTION;
    if (get_text(ctx, argv[1], "rename", &to)) {
        int failed = rename(from.value, to.value);
        result = failed < 0 ? throw_errno(ctx, "rename", to.value) : JS_UNDEFINED;
        free_text(ctx, &to);
    }
    free_text(ctx, &from);
    return result;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of an open directory but `.` and `..`; 0 or an errno. */
static int collect_names(JSContext *ctx, DIR *dir, TextList *names)
{
    size_t room = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names->count == LIST_MAX)
            return EOVERFLOW;
        if (names->count == room) {
            room = room == 0 ? 64 : 2 * room;
            char **items = js_realloc_rt(JS_GetRuntime(ctx), names->items, room * sizeof(char *));
            if (items == NULL)
                return ENOMEM;
            names->items = items;
        }
        size_t size = strlen(entry->d_name) + 1;
        char *name = js_malloc_rt(JS_GetRuntime(ctx), size);
        if (name == NULL)
            return ENOMEM;
        memcpy(name, entry->d_name, size);
        names->items[names->count++] = name;
    }
}

/* list(path) -> names in byte order. */
static JSValue call_list(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    TextList names = {NULL, 0};
    Text path;
    (void)self, (void)argc;
    if (!get_text(ctx, argv[0], "opendir", &path))
        return JS_EXCEPTION;
    DIR *dir = opendir(path.value);
    int error = dir == NULL ? errno : collect_names(ctx, dir, &names);
    if (dir != NULL)
        closedir(dir);
    JSValue result = JS_EXCEPTION;
    if (error != 0) {
        throw_error_number(ctx, error, "readdir", path.value);
    } else {
        result = JS_NewArray(ctx);
        if (names.count > 0)
            qsort(names.items, names.count, sizeof(char *), compare_names);
        for (size_t i = 0; i < names.count && !JS_IsException(result); i++) {
            JSValue name = JS_NewString(ctx, names.items[i]);
            if (JS_IsException(name) ||
                JS_DefinePropertyValueUint32(ctx, result, (uint32_t)i, name, JS_PROP_C_W_E) < 0) {
                JS_FreeValue(ctx, result);
                result = JS_EXCEPTION;
            }
        }
    }
    free_text_list(ctx, &names);
    free_text(ctx, &path);
    return result;
}

/* measureVerity(fd) -> [number of the algorithm, digest]. */
static JSValue call_measure_verity(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    union {
        struct fsverity_digest head;
        uint8_t room[sizeof(struct fsverity_digest) + VERITY_DIGEST_MAX];
    } measured;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    memset(&measured, 0, sizeof measured);
    measured.head.digest_size = VERITY_DIGEST_MAX;
    if (ioctl(fd, FS_IOC_MEASURE_VERITY, &measured) < 0)
        return throw_errno(ctx, "FS_IOC_MEASURE_VERITY", NULL);
    if (measured.head.digest_size > VERITY_DIGEST_MAX)
        return throw_error_number(ctx, EOVERFLOW, "FS_IOC_MEASURE_VERITY", NULL);
    JSValue items[] = {
        JS_NewInt32(ctx, measured.head.digest_algorithm),
        JS_NewUint8ArrayCopy(ctx, measured.room + sizeof measured.head, measured.head.digest_size),
    };
    if (JS_IsException(items[1]))
        return JS_EXCEPTION;
    return JS_NewArrayFrom(ctx, COUNT_OF(items), items);
}

/* readTree(fd): has the kernel fetch a sealed file's whole Merkle tree; what it hands over is dropped. */
static JSValue call_read_tree(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    static uint8_t dropped[64 * 1024];
    struct fsverity_read_metadata_arg wanted;
    int fd = -1;
    int count = 0;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    memset(&wanted, 0, sizeof wanted);
    wanted.metadata_type = FS_VERITY_METADATA_TYPE_MERKLE_TREE;
    wanted.length = sizeof dropped;
    wanted.buf_ptr = (uintptr_t)dropped;
    do {
        count = ioctl(fd, FS_IOC_READ_VERITY_METADATA, &wanted);
        if (count > 0)
            wanted.offset += (__u64)count;
    } while (count > 0 || (count < 0 && errno == EINTR));
    return count < 0 ? throw_errno(ctx, "FS_IOC_READ_VERITY_METADATA", NULL) : JS_UNDEFINED;
}

/* enableVerity(fd, number of the algorithm, block size). */
static JSValue call_enable_verity(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct fsverity_enable_arg settings;
    int64_t algorithm = 0;
    int64_t block_size = 0;
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd) || !get_integer(ctx, argv[1], "algorithm", 0, UINT32_MAX, &algorithm) ||
        !get_integer(ctx, argv[2], "block size", 0, UINT32_MAX, &block_size))
        return JS_EXCEPTION;
    memset(&settings, 0, sizeof settings);
    settings.version = 1;
    settings.hash_algorithm = (uint32_t)algorithm;
    settings.block_size = (uint32_t)block_size;
    int failed = ioctl(fd, FS_IOC_ENABLE_VERITY, &settings);
    return failed < 0 ? throw_errno(ctx, "FS_IOC_ENABLE_VERITY", NULL) : JS_UNDEFINED;
}

/* loopFree(control) -> number of a free loop device. */
static JSValue call_loop_free(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int fd = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &fd))
        return JS_EXCEPTION;
    int index = ioctl(fd, LOOP_CTL_GET_FREE);
    return index < 0 ? throw_errno(ctx, "LOOP_CTL_GET_FREE", NULL) : JS_NewInt32(ctx, index);
}

/* loopConfigure(loop, file, block size, flags). */
static JSValue call_loop_configure(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct loop_config config;
    unsigned long flags = 0;
    int64_t block_size = 0;
    int loop = -1;
    int file = -1;
    (void)self, (void)argc;
    if (!get_fd(ctx, argv[0], &loop) || !get_fd(ctx, argv[1], &file) ||
        !get_integer(ctx, argv[2], "block size", 512, 65536, &block_size) ||
        !get_bits(ctx, argv[3], "loop flags", LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO, &flags))
        return JS_EXCEPTION;
    memset(&config, 0, sizeof config);
    config.fd = (uint32_t)file;
    config.block_size = (uint32_t)block_size;
    config.info.lo_flags = (uint32_t)flags;
    int failed = ioctl(loop, LOOP_CONFIGURE, &config);
    return failed < 0 ? throw_errno(ctx, "LOOP_CONFIGURE", NULL) : JS_UNDEFINED;
}

static JSValue call_kernel_release(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    struct utsname names;
    (void)self, (void)argc, (void)argv;
    return uname(&names) < 0 ? throw_errno(ctx, "uname", NULL) : JS_NewString(ctx, names.release);
}

/* sha256(bytes) -> 32 bytes. */
static JSValue call_sha256(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint8_t digest[32];
    uint8_t *bytes = NULL;
    size_t length = 0;
    (void)self, (void)argc;
    if (!get_bytes(ctx, argv[0], &bytes, &length))
        return JS_EXCEPTION;
    sha256(bytes, length, digest);
    return JS_NewUint8ArrayCopy(ctx, digest, sizeof digest);
}

static const JSCFunctionListEntry FILE_CALLS[] = {
    JS_CFUNC_DEF("open", 3, call_open),
    JS_CFUNC_DEF("close", 1, call_close),
    JS_CFUNC_DEF("stat", 1, call_stat),
    JS_CFUNC_DEF("seekEnd", 1, call_seek_end),
    JS_CFUNC_DEF("pread", 3, call_pread),
    JS_CFUNC_DEF("readahead", 3, call_readahead),
    JS_CFUNC_DEF("pwrite", 3, call_pwrite),
    JS_CFUNC_DEF("read", 2, call_read),
    JS_CFUNC_DEF("write", 2, call_write),
    JS_CFUNC_DEF("fsync", 1, call_fsync),
    JS_CFUNC_DEF("fdatasync", 1, call_fdatasync),
    JS_CFUNC_DEF("chmod", 2, call_chmod),
    JS_CFUNC_DEF("mkdir", 2, call_mkdir),
    JS_CFUNC_DEF("rmdir", 1, call_rmdir),
    JS_CFUNC_DEF("unlink", 1, call_unlink),
    JS_CFUNC_DEF("rename", 2, call_rename),
    JS_CFUNC_DEF("list", 1, call_list),
    JS_CFUNC_DEF("measureVerity", 1, call_measure_verity),
    JS_CFUNC_DEF("readTree", 1, call_read_tree),
    JS_CFUNC_DEF("enableVerity", 3, call_enable_verity),
    JS_CFUNC_DEF("loopFree", 1, call_loop_free),
    JS_CFUNC_DEF("loopConfigure", 4, call_loop_configure),
    JS_CFUNC_DEF("kernelRelease", 0, call_kernel_release),
    JS_CFUNC_DEF("sha256", 1, call_sha256),
    JS_CFUNC_DEF("power65537", 2, call_power65537),
    /* Their values differ from one architecture to the next. */
    JS_PROP_INT32_DEF("O_WRONLY", O_WRONLY, 0),
    JS_PROP_INT32_DEF("O_RDWR", O_RDWR, 0),
    JS_PROP_INT32_DEF("O_CREAT", O_CREAT, 0),
    JS_PROP_INT32_DEF("O_EXCL", O_EXCL, 0),
    JS_PROP_INT32_DEF("O_APPEND", O_APPEND, 0),
    JS_PROP_INT32_DEF("O_DIRECTORY", O_DIRECTORY, 0),
    JS_PROP_INT32_DEF("O_NOFOLLOW", O_NOFOLLOW, 0),
};

bool add_file_calls(JSContext *ctx, JSValueConst host)
{
    return JS_SetPropertyFunctionList(ctx, host, FILE_CALLS, COUNT_OF(FILE_CALLS)) == 0;
}
