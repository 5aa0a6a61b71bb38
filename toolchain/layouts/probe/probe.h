/*
 * What the parts of the layout probe share: failing, naming paths, and the checksum of a tree.
 */
#ifndef COLDSEAL_LAYOUT_PROBE_H
#define COLDSEAL_LAYOUT_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define PATH_BYTES_MAX 4096
/* A multiple of four, so that only the last piece of a file is filled up with zeros. */
#define PIECE_BYTES ((size_t)256 * 1024)

/* The sum of words that tells two trees apart; toolchain/layouts/tree-sum.ts has the same. */
struct sum {
    uint32_t a, b;
};

/* What a walk has met. */
struct tally {
    uint64_t entries, bytes;
    struct sum content, metadata;
};

/* Says on the console what could not be done, with errno, and switches the board off. */
_Noreturn void fail(const char *doing, const char *object);

/* A line of the report; counted, so that one that is missing is noticed. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* walk.c */
void list_tree(const char *path, struct tally *tally);
void check_tree(const char *path, const char *store, struct tally *tally);

/* read.c */
void stat_files(const char *root, const char *list, struct tally *tally);
void read_files(const char *root, const char *list, struct tally *tally);
void measure_files(const char *root, const char *list, struct tally *tally);
void measure_file(const char *path, const char *digest);
struct sum read_content(const char *path, struct tally *tally);
struct sum sum_start(void);
void sum_words(struct sum *sum, const void *bytes, size_t size);

/* dm.c */
void open_verity(const char *name, unsigned long long sectors, const char *table);

#endif
