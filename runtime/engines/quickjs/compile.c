/*
 * Compiles a module of JavaScript to bytecode: `compile NAME IN OUT`. Runs on the build host, linked with the same
 * QuickJS sources as the engine, because bytecode belongs to one version. It is the same for all little-endian
 * processors of 64 bits. Source text, file names and line numbers are left out; names of functions stay.
 */
#include <stdio.h>
#include <stdlib.h>

#include "quickjs.h"

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long length = -1;
    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0) {
        rewind(file);
        *size = (size_t)length;
        text = malloc(*size + 1);
        if (text != NULL && fread(text, 1, *size, file) == *size) {
            text[*size] = 0;
        } else {
            free(text);
            text = NULL;
        }
    }
    fclose(file);
    return text;
}

static int fail(const char *what, const char *which)
{
    fprintf(stderr, "%s %s\n", what, which);
    return 1;
}

static int fail_exception(JSContext *ctx, const char *which)
{
    JSValue exception = JS_GetException(ctx);
    const char *text = JS_ToCString(ctx, exception);
    return fail(text == NULL ? "out of memory" : text, which);
}

int main(int argc, char **argv)
{
    size_t size = 0;
    if (argc != 4)
        return fail("usage:", "compile NAME IN OUT");
    char *text = read_whole(argv[2], &size);
    if (text == NULL)
        return fail("cannot read", argv[2]);
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *ctx = runtime == NULL ? NULL : JS_NewContext(runtime);
    if (ctx == NULL)
        return fail("out of memory for", argv[2]);
    JSValue module = JS_Eval(ctx, text, size, argv[1], JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(module))
        return fail_exception(ctx, argv[2]);
    uint8_t *bytes = JS_WriteObject(ctx, &size, module,
                                    JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE | JS_WRITE_OBJ_STRIP_DEBUG);
    if (bytes == NULL)
        return fail_exception(ctx, argv[2]);
    FILE *out = fopen(argv[3], "wb");
    if (out == NULL || fwrite(bytes, 1, size, out) != size || fclose(out) != 0)
        return fail("cannot write", argv[3]);
    return 0;
}
