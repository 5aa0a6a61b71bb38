/*
 * Files of a list: their attributes, their bytes, their fs-verity digests.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"

#define DIGEST_BYTES_MAX 64

static uint32_t rotate(uint32_t value, unsigned count)
{
    return value << count | value >> (32 - count);
}

struct sum sum_start(void)
{
    return (struct sum){.a = 0x811c9dc5, .b = 0x9747b28c};
}

void sum_words(struct sum *sum, const void *bytes, size_t size)
{
    uint32_t a = sum->a, b = sum->b;
    for (size_t at = 0; at < size; at += sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, (const char *)bytes + at, sizeof word);
        a = rotate((a ^ word) * 0x9e3779b1u, 13);
        b = rotate((b + a) * 0x85ebca77u, 17) ^ word;
    }
    sum->a = a;
    sum->b = b;
}

/* Reads a whole file; what is behind its last byte is zero. */
struct sum read_content(const char *path, struct tally *tally)
{
    static char piece[PIECE_BYTES + sizeof(uint32_t)];
    struct sum sum = sum_start();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail("open", path);
    for (;;) {
        size_t filled = 0;
        while (filled < PIECE_BYTES) {
            ssize_t size = read(fd, piece + filled, PIECE_BYTES - filled);
            if (size < 0)
                fail("read", path);
            if (size == 0)
                break;
            filled += (size_t)size;
        }
        memset(piece + filled, 0, sizeof(uint32_t));
        sum_words(&sum, piece, filled);
        tally->bytes += filled;
        if (filled < PIECE_BYTES)
            break;
    }
    close(fd);
    return sum;
}

/* Only the bytes: the sum of them would be most of the time. */
static void read_file(const char *path, struct tally *tally)
{
    static char piece[PIECE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail("open", path);
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0)
        tally->bytes += (uint64_t)size;
    if (size < 0)
        fail("read", path);
    close(fd);
    tally->entries++;
}

static void stat_file(const char *path, struct tally *tally)
{
    struct stat status;
    if (stat(path, &status) != 0)
        fail("look at", path);
    tally->entries++;
    tally->bytes += (uint64_t)status.st_size;
}

static void measure(const char *path, char *hex)
{
    union {
        struct fsverity_digest digest;
        char room[sizeof(struct fsverity_digest) + DIGEST_BYTES_MAX];
    } found = {.digest.digest_size = DIGEST_BYTES_MAX};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail("open", path);
    if (ioctl(fd, FS_IOC_MEASURE_VERITY, &found.digest) != 0)
        fail("measure", path);
    close(fd);
    for (size_t i = 0; i < found.digest.digest_size; i++)
        sprintf(hex + 2 * i, "%02x", found.digest.digest[i]);
}

void measure_file(const char *path, const char *digest)
{
    char hex[2 * DIGEST_BYTES_MAX + 1] = "";
    measure(path, hex);
    errno = 0;
    if (strcmp(hex, digest) != 0)
        fail("accept the digest of", path);
}

/* A verify list: the kernel's digest of an object must be its name, and every byte of it is read. */
static void measure_object(const char *path, struct tally *tally)
{
    char hex[2 * DIGEST_BYTES_MAX + 1] = "";
    measure(path, hex);
    size_t length = strlen(path);
    const char *name = path + length - (strlen(hex) - 2);
    errno = 0;
    if (length < strlen(hex) || strncmp(name - 3, hex, 2) != 0 || strcmp(name, hex + 2) != 0)
        fail("accept the digest of", path);
    read_file(path, tally);
}

static void for_each(const char *root, const char *list, struct tally *tally, void (*use)(const char *, struct tally *))
{
    FILE *file = fopen(list, "re");
    if (file == NULL)
        fail("open", list);
    char line[PATH_BYTES_MAX];
    while (fgets(line, sizeof line, file) != NULL) {
        char path[2 * PATH_BYTES_MAX];
        line[strcspn(line, "\n")] = 0;
        snprintf(path, sizeof path, "%s/%s", root, line);
        use(path, tally);
    }
    fclose(file);
}

void stat_files(const char *root, const char *list, struct tally *tally)
{
    for_each(root, list, tally, stat_file);
}

void read_files(const char *root, const char *list, struct tally *tally)
{
    for_each(root, list, tally, read_file);
}

void measure_files(const char *root, const char *list, struct tally *tally)
{
    for_each(root, list, tally, measure_object);
}
