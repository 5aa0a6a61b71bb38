/* Arguments of host functions, checked, and errors of system calls as exceptions. See host.h. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host.h"

/* Far more arguments or variables than any program here gets. */
#define TEXT_LIST_MAX 1024

JSValue throw_error_number(JSContext *ctx, int number, const char *call, const char *what)
{
    char message[256];
    const char *name = strerrorname_np(number);
    JSValue error = JS_NewError(ctx);
    if (JS_IsException(error))
        return JS_EXCEPTION;
    if (name == NULL)
        name = "EUNKNOWN";
    snprintf(message, sizeof message, "%s%s%s: %s", call, what == NULL ? "" : " ", what == NULL ? "" : what, name);
    if (JS_DefinePropertyValueStr(ctx, error, "message", JS_NewString(ctx, message), JS_PROP_C_W_E) < 0 ||
        JS_DefinePropertyValueStr(ctx, error, "name", JS_NewString(ctx, "SysError"), JS_PROP_C_W_E) < 0 ||
        JS_DefinePropertyValueStr(ctx, error, "code", JS_NewString(ctx, name), JS_PROP_C_W_E) < 0 ||
        JS_DefinePropertyValueStr(ctx, error, "call", JS_NewString(ctx, call), JS_PROP_C_W_E) < 0) {
        JS_FreeValue(ctx, error);
        return JS_EXCEPTION;
    }
    return JS_Throw(ctx, error);
}

JSValue throw_errno(JSContext *ctx, const char *call, const char *what)
{
    return throw_error_number(ctx, errno, call, what);
}

bool get_integer(JSContext *ctx, JSValueConst value, const char *name, int64_t min, int64_t max, int64_t *out)
{
    double number = 0;
    if (!JS_IsNumber(value)) {
        JS_ThrowTypeError(ctx, "%s: expected a number", name);
        return false;
    }
    if (JS_ToFloat64(ctx, &number, value) < 0)
        return false;
    /* Every limit in use is at most 2^53, so the comparison and the conversion are exact. */
    if (!(number >= (double)min && number <= (double)max) || number != trunc(number)) {
        JS_ThrowRangeError(ctx, "%s: expected a whole number within its range", name);
        return false;
    }
    *out = (int64_t)number;
    return true;
}

bool get_fd(JSContext *ctx, JSValueConst value, int *out)
{
    int64_t number = 0;
    if (!get_integer(ctx, value, "descriptor", 0, INT_MAX, &number))
        return false;
    *out = (int)number;
    return true;
}

bool get_bits(JSContext *ctx, JSValueConst value, const char *name, unsigned long allowed, unsigned long *out)
{
    int64_t number = 0;
    if (!get_integer(ctx, value, name, 0, UINT32_MAX, &number))
        return false;
    if (((unsigned long)number & ~allowed) != 0) {
        JS_ThrowRangeError(ctx, "%s: bits that have no use here", name);
        return false;
    }
    *out = (unsigned long)number;
    return true;
}

bool get_timeout(JSContext *ctx, JSValueConst value, int *out)
{
    int64_t number = 0;
    if (!get_integer(ctx, value, "time", 0, INT_MAX, &number))
        return false;
    *out = (int)number;
    return true;
}

bool get_bytes(JSContext *ctx, JSValueConst value, uint8_t **bytes, size_t *length)
{
    static uint8_t nothing[1];
    *bytes = JS_GetUint8Array(ctx, length, value);
    if (*bytes == NULL) {
        /* An empty array has no storage; anything else left an exception. */
        if (JS_HasException(ctx))
            return false;
        *bytes = nothing;
        *length = 0;
    }
    return true;
}

bool get_text(JSContext *ctx, JSValueConst value, const char *name, Text *out)
{
    out->value = NULL;
    if (!JS_IsString(value)) {
        JS_ThrowTypeError(ctx, "%s: expected a string", name);
        return false;
    }
    const char *text = JS_ToCStringLen(ctx, &out->length, value);
    if (text == NULL)
        return false;
    if (out->length >= PATH_MAX || strlen(text) != out->length) {
        throw_error_number(ctx, out->length >= PATH_MAX ? ENAMETOOLONG : EINVAL, name, NULL);
        JS_FreeCString(ctx, text);
        return false;
    }
    out->value = text;
    return true;
}

void free_text(JSContext *ctx, Text *text)
{
    if (text->value != NULL)
        JS_FreeCString(ctx, text->value);
    text->value = NULL;
}

bool get_text_list(JSContext *ctx, JSValueConst value, const char *name, TextList *out)
{
    int64_t length = 0;
    out->items = NULL;
    out->count = 0;
    if (!JS_IsArray(value)) {
        JS_ThrowTypeError(ctx, "%s: expected an array", name);
        return false;
    }
    if (JS_GetLength(ctx, value, &length) < 0)
        return false;
    if (length > TEXT_LIST_MAX) {
        throw_error_number(ctx, E2BIG, name, NULL);
        return false;
    }
    out->items = js_mallocz(ctx, ((size_t)length + 1) * sizeof(char *));
    if (out->items == NULL)
        return false;
    for (int64_t i = 0; i < length; i++) {
        Text text;
        JSValue item = JS_GetPropertyInt64(ctx, value, i);
        bool good = !JS_IsException(item) && get_text(ctx, item, name, &text);
        JS_FreeValue(ctx, item);
        if (good) {
            out->items[out->count] = js_strdup(ctx, text.value);
            free_text(ctx, &text);
            good = out->items[out->count] != NULL;
        }
        if (!good) {
            free_text_list(ctx, out);
            return false;
        }
        out->count++;
    }
    return true;
}

void free_text_list(JSContext *ctx, TextList *list)
{
    for (size_t i = 0; i < list->count; i++)
        js_free(ctx, list->items[i]);
    js_free(ctx, list->items);
    list->items = NULL;
    list->count = 0;
}

int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int remaining_ms(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - monotonic_ns();
    return left_ns <= 0 ? 0 : (int)((left_ns + 999999) / 1000000);
}
