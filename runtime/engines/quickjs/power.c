/*
 * power65537(base, modulus) -> base^65537 mod modulus: the one step of an RSA check that is slow in JavaScript.
 *
 * Montgomery multiplication (Koc, Acar, Kaliski 1996, the CIOS method) over 64-bit limbs. Public values only, so
 * nothing here needs constant time. What the result means is decided in format/rsa.ts, which has the same over BigInt.
 */
#include <string.h>

#include "host.h"

/* 8192 bits, the largest key that format/rsa.ts accepts. */
#define BYTES_MAX 1024
#define LIMBS_MAX (BYTES_MAX / 8)

typedef uint64_t Limb;
__extension__ typedef unsigned __int128 Wide;

typedef struct {
    Limb limbs[LIMBS_MAX];
} Number;

typedef struct {
    Number modulus;
    size_t count;
    /* -modulus^-1 mod 2^64 */
    Limb inverse;
} Field;

static void load(Number *number, const uint8_t *bytes, size_t length)
{
    memset(number, 0, sizeof *number);
    for (size_t i = 0; i < length; i++)
        number->limbs[i / 8] |= (Limb)bytes[length - 1 - i] << (8 * (i % 8));
}

static void store(const Number *number, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[length - 1 - i] = (uint8_t)(number->limbs[i / 8] >> (8 * (i % 8)));
}

static bool is_below(const Number *a, const Number *b, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i];
    return false;
}

static void subtract_modulus(const Field *field, Number *number)
{
    Limb borrow = 0;
    for (size_t i = 0; i < field->count; i++) {
        Wide difference = (Wide)number->limbs[i] - field->modulus.limbs[i] - borrow;
        number->limbs[i] = (Limb)difference;
        borrow = (Limb)(difference >> 64) & 1;
    }
}

/* 2 * number mod modulus, of a number below the modulus. */
static void twice(const Field *field, Number *number)
{
    Limb carry = 0;
    for (size_t i = 0; i < field->count; i++) {
        Limb limb = number->limbs[i];
        number->limbs[i] = limb << 1 | carry;
        carry = limb >> 63;
    }
    if (carry != 0 || !is_below(number, &field->modulus, field->count))
        subtract_modulus(field, number);
}

/* a * b / 2^(64 count) mod modulus; the result may be one of the factors. */
static void multiply(const Field *field, const Number *a, const Number *b, Number *result)
{
    Limb sum[LIMBS_MAX + 2] = {0};
    size_t count = field->count;
    for (size_t i = 0; i < count; i++) {
        Limb carry = 0;
        for (size_t j = 0; j < count; j++) {
            Wide wide = (Wide)a->limbs[j] * b->limbs[i] + sum[j] + carry;
            sum[j] = (Limb)wide;
            carry = (Limb)(wide >> 64);
        }
        Wide top = (Wide)sum[count] + carry;
        sum[count] = (Limb)top;
        sum[count + 1] = (Limb)(top >> 64);
        Limb factor = sum[0] * field->inverse;
        Wide first = (Wide)factor * field->modulus.limbs[0] + sum[0];
        carry = (Limb)(first >> 64);
        for (size_t j = 1; j < count; j++) {
            Wide wide = (Wide)factor * field->modulus.limbs[j] + sum[j] + carry;
            sum[j - 1] = (Limb)wide;
            carry = (Limb)(wide >> 64);
        }
        top = (Wide)sum[count] + carry;
        sum[count - 1] = (Limb)top;
        sum[count] = sum[count + 1] + (Limb)(top >> 64);
    }
    memset(result, 0, sizeof *result);
    memcpy(result->limbs, sum, count * sizeof(Limb));
    if (sum[count] != 0 || !is_below(result, &field->modulus, count))
        subtract_modulus(field, result);
}

/* Newton's method: each step doubles the bits that are right, beginning with 3. */
static Limb negative_inverse(Limb odd)
{
    Limb inverse = odd;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - odd * inverse;
    return 0 - inverse;
}

static unsigned bit_length(Limb limb)
{
    return limb == 0 ? 0 : 64 - (unsigned)__builtin_clzll(limb);
}

/* 2^(128 count) mod modulus, which takes a number into Montgomery's form; the modulus has its top limb set. */
static void conversion_factor(const Field *field, Number *factor)
{
    size_t bits = 64 * field->count;
    size_t start = 64 * (field->count - 1) + bit_length(field->modulus.limbs[field->count - 1]) - 1;
    memset(factor, 0, sizeof *factor);
    factor->limbs[start / 64] = (Limb)1 << (start % 64);
    /* A modulus that is a power of two would not be odd, so 2^start is below it. */
    for (size_t i = start; i < bits; i++)
        twice(field, factor);
    /* That is 1 in Montgomery's form; 2^bits follows by squaring and doubling along the bits of `bits`. */
    for (unsigned i = bit_length((Limb)bits); i-- > 0;) {
        multiply(field, factor, factor, factor);
        if ((bits >> i & 1) != 0)
            twice(field, factor);
    }
}

static void power65537(const Field *field, const Number *base, Number *result)
{
    Number factor;
    conversion_factor(field, &factor);
    multiply(field, base, &factor, result);
    for (int i = 0; i < 16; i++)
        multiply(field, result, result, result);
    /* One factor in Montgomery's form and one in the usual one give the usual one. */
    multiply(field, result, base, result);
}

JSValue call_power65537(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint8_t *base_bytes = NULL;
    uint8_t *modulus_bytes = NULL;
    uint8_t result_bytes[BYTES_MAX];
    size_t base_length = 0;
    size_t length = 0;
    Field field;
    Number base;
    Number result;
    (void)self, (void)argc;
    if (!get_bytes(ctx, argv[0], &base_bytes, &base_length) || !get_bytes(ctx, argv[1], &modulus_bytes, &length))
        return JS_EXCEPTION;
    if (length == 0 || length > BYTES_MAX || base_length != length || modulus_bytes[0] == 0 ||
        (modulus_bytes[length - 1] & 1) == 0 || (length == 1 && modulus_bytes[0] == 1))
        return JS_ThrowRangeError(ctx, "expected a base and an odd modulus of the same 1 to %d bytes", BYTES_MAX);
    field.count = (length + 7) / 8;
    load(&field.modulus, modulus_bytes, length);
    load(&base, base_bytes, length);
    if (!is_below(&base, &field.modulus, field.count))
        return JS_ThrowRangeError(ctx, "expected a base below the modulus");
    field.inverse = negative_inverse(field.modulus.limbs[0]);
    power65537(&field, &base, &result);
    store(&result, result_bytes, length);
    return JS_NewUint8ArrayCopy(ctx, result_bytes, length);
}
