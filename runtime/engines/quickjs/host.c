/*
 * The QuickJS engine: one static program that holds the device bundle as bytecode and is /init of a board.
 *
 * It makes the host functions (files.c, mounts.c, process.c), loads two modules, and calls
 * `start(host, main, arguments)` of the engine module (main.ts) with `main` of the device bundle. Nothing is decided
 * here but how to end when that failed: as PID 1 it says so in the kernel's log and restarts the machine, because a
 * PID 1 that returns makes the kernel panic without a reason.
 *
 * Built without QuickJS's parser, the program on a board cannot evaluate text at all. With COLDSEAL_TEST defined it
 * has the parser, no bundle, and runs the module in the file that its first argument names, whose `start` may be
 * asynchronous and which finds the host functions in the global COLDSEAL_HOST.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/*
 * A boot takes about 2 MiB. The limit keeps a hostile manifest or file from using up the memory of a small board:
 * then JavaScript gets an exception while the kernel still has pages for its own work.
 */
#ifdef COLDSEAL_TEST
#define MEMORY_LIMIT ((size_t)512 * 1024 * 1024)
#else
#define MEMORY_LIMIT ((size_t)48 * 1024 * 1024)
#endif
/* What reporting an exception may take beyond it. */
#define MEMORY_RESERVE ((size_t)1024 * 1024)
/* The kernel gives PID 1 a stack of 8 MiB. A deep recursion is an exception long before that. */
#define STACK_SIZE_MAX ((size_t)1024 * 1024)
/* A boot allocates less than this in all, so that collecting cycles costs it nothing. */
#define COLLECT_CYCLES_FROM ((size_t)16 * 1024 * 1024)

#define RESTART_DELAY_S 5
#define EXIT_INTERNAL 1
#define LOG_ERROR 3

#ifndef COLDSEAL_TEST
/* Put in by embed.S. */
extern const uint8_t coldseal_bundle[], coldseal_bundle_end[];
extern const uint8_t coldseal_engine[], coldseal_engine_end[];
extern const uint8_t coldseal_reasons[], coldseal_reasons_end[];
extern const uint8_t coldseal_texts[], coldseal_texts_end[];
#endif

/* Tells a person: on standard error, and of PID 1 also in the kernel's log. */
static void tell(const char *text)
{
    static const char PREFIX[] = "coldseal: ";
    char line[1024];
    int length = snprintf(line, sizeof line, "%s%s\n", PREFIX, text);
    size_t size = length < 0 ? 0 : (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    if (getpid() == 1 && size > 0 && write_kernel_log(LOG_ERROR, line, size - 1) == 0)
        return;
    if (write(STDERR_FILENO, line, size) < 0)
        return; /* There is nobody left to tell. */
}

static void tell_value(JSContext *ctx, JSValueConst value)
{
    const char *text = JS_ToCString(ctx, value);
    char *rest = text == NULL ? NULL : strdup(text);
    JS_FreeCString(ctx, text);
    if (rest == NULL) {
        tell("an exception that cannot be shown");
        return;
    }
    char *place = NULL;
    for (char *line = strtok_r(rest, "\n", &place); line != NULL; line = strtok_r(NULL, "\n", &place))
        tell(line);
    free(rest);
}

/* Says what was thrown, with the functions that it came through. */
static void tell_exception(JSContext *ctx)
{
    JSValue exception = JS_GetException(ctx);
    JS_SetMemoryLimit(JS_GetRuntime(ctx), MEMORY_LIMIT + MEMORY_RESERVE);
    tell_value(ctx, exception);
    if (JS_IsError(exception)) {
        JSValue stack = JS_GetPropertyStr(ctx, exception, "stack");
        if (JS_IsString(stack))
            tell_value(ctx, stack);
        JS_FreeValue(ctx, stack);
    }
    JS_FreeValue(ctx, exception);
}

/* Runs a module that has been read; its export `name`, or an exception. */
static JSValue run_module(JSContext *ctx, JSValue module, const char *name)
{
    if (JS_IsException(module) || JS_ResolveModule(ctx, module) < 0) {
        JS_FreeValue(ctx, module);
        return JS_EXCEPTION;
    }
    JSModuleDef *definition = JS_VALUE_GET_PTR(module);
    JSValue promise = JS_EvalFunction(ctx, module);
    if (JS_IsException(promise))
        return JS_EXCEPTION;
    JSPromiseStateEnum state = JS_PromiseState(ctx, promise);
    JSValue result = state == JS_PROMISE_REJECTED ? JS_PromiseResult(ctx, promise) : JS_UNDEFINED;
    JS_FreeValue(ctx, promise);
    if (state == JS_PROMISE_REJECTED)
        return JS_Throw(ctx, result);
    if (state == JS_PROMISE_PENDING)
        return JS_ThrowTypeError(ctx, "the module waits for something, expected it to run to its end");
    JSValue exports = JS_GetModuleNamespace(ctx, definition);
    if (JS_IsException(exports))
        return JS_EXCEPTION;
    result = JS_GetPropertyStr(ctx, exports, name);
    JS_FreeValue(ctx, exports);
    return result;
}

static JSValue string_array(JSContext *ctx, int count, char **strings)
{
    JSValue array = JS_NewArray(ctx);
    for (int i = 0; i < count && !JS_IsException(array); i++) {
        JSValue text = JS_NewString(ctx, strings[i]);
        if (JS_IsException(text) || JS_DefinePropertyValueUint32(ctx, array, (uint32_t)i, text, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, array);
            return JS_EXCEPTION;
        }
    }
    return array;
}

#ifdef COLDSEAL_TEST
static JSContext *new_context(JSRuntime *runtime)
{
    return JS_NewContext(runtime);
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (*size = (size_t)ftell(file)) < MEMORY_LIMIT) {
        rewind(file);
        text = malloc(*size + 1);
        if (text != NULL && fread(text, 1, *size, file) == *size)
            text[*size] = 0;
    }
    fclose(file);
    return text;
}

static JSValue load_start(JSContext *ctx, JSValueConst host, JSValue *bundle_main, int *argc, char ***argv)
{
    size_t size = 0;
    JSValue global = JS_GetGlobalObject(ctx);
    int added = JS_SetPropertyStr(ctx, global, "COLDSEAL_HOST", JS_DupValue(ctx, host));
    JS_FreeValue(ctx, global);
    if (added < 0)
        return JS_EXCEPTION;
    if (*argc < 1)
        return JS_ThrowTypeError(ctx, "expected the path of a module");
    char *text = read_file((*argv)[0], &size);
    if (text == NULL)
        return JS_ThrowTypeError(ctx, "cannot read %s", (*argv)[0]);
    JSValue module = JS_Eval(ctx, text, size, (*argv)[0], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    free(text);
    *bundle_main = JS_UNDEFINED;
    ++*argv, --*argc;
    return run_module(ctx, module, "start");
}

/* What a promise comes to: nothing outside is waited for, so that all there is to do is the queue of jobs. */
static JSValue settle(JSContext *ctx, JSValue value)
{
    JSContext *job_ctx = NULL;
    if (JS_IsException(value) || !JS_IsPromise(value))
        return value;
    while (JS_ExecutePendingJob(JS_GetRuntime(ctx), &job_ctx) > 0)
        continue;
    JSPromiseStateEnum state = JS_PromiseState(ctx, value);
    JSValue result = JS_PromiseResult(ctx, value);
    JS_FreeValue(ctx, value);
    if (state == JS_PROMISE_FULFILLED)
        return result;
    return state == JS_PROMISE_REJECTED ? JS_Throw(ctx, result) : JS_ThrowTypeError(ctx, "a promise never settles");
}
#else
/* Everything that bytecode may use; no eval, no Proxy, no base64. */
static JSContext *new_context(JSRuntime *runtime)
{
    static int (*const INTRINSICS[])(JSContext *) = {
        JS_AddIntrinsicBaseObjects, JS_AddIntrinsicDate,        JS_AddIntrinsicRegExp,  JS_AddIntrinsicJSON,
        JS_AddIntrinsicMapSet,      JS_AddIntrinsicTypedArrays, JS_AddIntrinsicPromise,
    };
    JSContext *ctx = JS_NewContextRaw(runtime);
    for (size_t i = 0; ctx != NULL && i < COUNT_OF(INTRINSICS); i++)
        if (INTRINSICS[i](ctx) < 0)
            return NULL;
    return ctx;
}

static JSValue settle(JSContext *ctx, JSValue value)
{
    (void)ctx;
    return value;
}

static JSValue read_module(JSContext *ctx, const uint8_t *from, const uint8_t *to, const char *name)
{
    return run_module(ctx, JS_ReadObject(ctx, from, (size_t)(to - from), JS_READ_OBJ_BYTECODE), name);
}

/* reasons() -> lines of CODE, a tab and its meaning. */
static JSValue call_reasons(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc, (void)argv;
    return JS_NewStringLen(ctx, (const char *)coldseal_reasons, (size_t)(coldseal_reasons_end - coldseal_reasons));
}

/* texts() -> the sentences of the bundle, as JSON. */
static JSValue call_texts(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self, (void)argc, (void)argv;
    return JS_NewStringLen(ctx, (const char *)coldseal_texts, (size_t)(coldseal_texts_end - coldseal_texts));
}

static const JSCFunctionListEntry OWN_CALLS[] = {
    JS_CFUNC_DEF("reasons", 0, call_reasons),
    JS_CFUNC_DEF("texts", 0, call_texts),
};

static JSValue load_start(JSContext *ctx, JSValueConst host, JSValue *bundle_main, int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (JS_SetPropertyFunctionList(ctx, host, OWN_CALLS, COUNT_OF(OWN_CALLS)) < 0)
        return JS_EXCEPTION;
    *bundle_main = read_module(ctx, coldseal_bundle, coldseal_bundle_end, "main");
    if (JS_IsException(*bundle_main))
        return JS_EXCEPTION;
    return read_module(ctx, coldseal_engine, coldseal_engine_end, "start");
}
#endif

/* The exit code that `start` returned, or -1 with an exception pending. */
static int run(JSContext *ctx, int argc, char **argv)
{
    JSValue host = JS_NewObject(ctx);
    JSValue bundle_main = JS_UNDEFINED;
    int32_t code = -1;
    if (JS_IsException(host) || !add_file_calls(ctx, host) || !add_mount_calls(ctx, host) ||
        !add_process_calls(ctx, host))
        return -1;
    JSValue start = load_start(ctx, host, &bundle_main, &argc, &argv);
    if (!JS_IsException(start)) {
        JSValue arguments = string_array(ctx, argc, argv);
        JSValueConst passed[] = {host, bundle_main, arguments};
        JSValue result =
            JS_IsException(arguments) ? JS_EXCEPTION : JS_Call(ctx, start, JS_UNDEFINED, COUNT_OF(passed), passed);
        result = settle(ctx, result);
        if (JS_IsException(result) || JS_ToInt32(ctx, &code, result) < 0)
            code = -1;
        JS_FreeValue(ctx, result);
        JS_FreeValue(ctx, arguments);
    }
    JS_FreeValue(ctx, start);
    JS_FreeValue(ctx, bundle_main);
    JS_FreeValue(ctx, host);
    return code;
}

static int run_engine(int argc, char **argv)
{
    JSRuntime *runtime = JS_NewRuntime();
    if (runtime == NULL) {
        tell("cannot start: there is no memory for the engine");
        return EXIT_INTERNAL;
    }
    JS_SetMemoryLimit(runtime, MEMORY_LIMIT);
    JS_SetMaxStackSize(runtime, STACK_SIZE_MAX);
    JS_SetGCThreshold(runtime, COLLECT_CYCLES_FROM);
    JSContext *ctx = new_context(runtime);
    if (ctx == NULL) {
        tell("cannot start: there is no memory for the engine");
        return EXIT_INTERNAL;
    }
    int code = run(ctx, argc, argv);
    if (code < 0) {
        tell_exception(ctx);
        code = EXIT_INTERNAL;
    }
#ifdef COLDSEAL_TEST
    /* The end of a process frees everything faster; in tests this finds what was not given back. */
    JS_FreeContext(ctx);
    JS_FreeRuntime(runtime);
#endif
    return code;
}

/* Descriptors 0 to 2 must be taken: a file opened as one of them would get what is printed. */
static void fill_standard_descriptors(void)
{
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            fd = open("/", O_PATH); /* The initramfs without a /dev/console may have no /dev/null either. */
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* The end of PID 1. A board whose runtime is broken tries again, as it would after a power cut. */
static _Noreturn void end_board(int code)
{
    char text[128];
    snprintf(text, sizeof text, "the runtime ended with %d, expected it to hand over; restart in %d s", code,
             RESTART_DELAY_S);
    tell(text);
    struct timespec left = {RESTART_DELAY_S, 0};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
    sync();
    reboot(LINUX_REBOOT_CMD_RESTART);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    prepare_process();
    int code = run_engine(argc > 0 ? argc - 1 : 0, argv + 1);
    /* Also true of a copy that `fork` made: it is another process. */
    if (getpid() == 1)
        end_board(code);
    return code;
}
