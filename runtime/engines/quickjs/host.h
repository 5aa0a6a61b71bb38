/*
 * What the C files of the QuickJS engine share: checked arguments, errors by name, and the tables of functions.
 *
 * Invariants: no file here decides anything; each function is one system call, or one idiom that JavaScript cannot
 * express. Every argument is checked before use: whole numbers in a range, text without a NUL and shorter than
 * PATH_MAX, byte ranges as QuickJS itself reports them. A failed call becomes an Error with `code` (the errno's
 * name) and `call`; a wrong argument becomes a TypeError or RangeError, which is a bug of the caller.
 */
#ifndef COLDSEAL_HOST_H
#define COLDSEAL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quickjs.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Text of one argument; `free_text` gives it back. `value` is NULL when the argument was wrong. */
typedef struct {
    const char *value;
    size_t length;
} Text;

/* A list of strings with a NULL at its end, as execve(2) takes it. */
typedef struct {
    char **items;
    size_t count;
} TextList;

/* Throws errno's name; `what` may be NULL. Returns JS_EXCEPTION. */
JSValue throw_errno(JSContext *ctx, const char *call, const char *what);
JSValue throw_error_number(JSContext *ctx, int number, const char *call, const char *what);

/* Each returns false with an exception pending when the argument is not what it has to be. */
bool get_integer(JSContext *ctx, JSValueConst value, const char *name, int64_t min, int64_t max, int64_t *out);
bool get_fd(JSContext *ctx, JSValueConst value, int *out);
bool get_bits(JSContext *ctx, JSValueConst value, const char *name, unsigned long allowed, unsigned long *out);
bool get_timeout(JSContext *ctx, JSValueConst value, int *out);
bool get_bytes(JSContext *ctx, JSValueConst value, uint8_t **bytes, size_t *length);
bool get_text(JSContext *ctx, JSValueConst value, const char *name, Text *out);
bool get_text_list(JSContext *ctx, JSValueConst value, const char *name, TextList *out);
void free_text(JSContext *ctx, Text *text);
void free_text_list(JSContext *ctx, TextList *list);

/* Milliseconds of CLOCK_MONOTONIC until `deadline_ns`, rounded up, never negative. */
int64_t monotonic_ns(void);
int remaining_ms(int64_t deadline_ns);

/* Set `Host` functions and constants on an object; false with an exception pending when memory is out. */
bool add_file_calls(JSContext *ctx, JSValueConst host);
bool add_mount_calls(JSContext *ctx, JSValueConst host);
bool add_process_calls(JSContext *ctx, JSValueConst host);

/* power65537(base, modulus), in power.c. */
JSValue call_power65537(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv);

/*
 * Blocks SIGCHLD, which `wait` takes from its queue, ignores SIGPIPE, and lets PID 1 go before the kernel's workers.
 * Programs that are started get the usual state back.
 */
void prepare_process(void);

/* One record of the kernel's log at a level of syslog(3), cut to what the kernel takes; -1 with errno. */
int write_kernel_log(int level, const char *text, size_t length);

/* FIPS 180-4. */
void sha256(const uint8_t *bytes, size_t length, uint8_t digest[32]);

#endif
