/*
 * Two walks over a tree: what `ls -lR` asks of a file system, and the sum of everything that is in it.
 *
 * Both read a directory whole and sort it by the bytes of its names, as ls does in the C locale. Nothing is printed
 * for an entry: that costs the same with every layout.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory, sorted; the caller frees them and the list. */
static char **names_of(const char *path, size_t *count)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        fail("open the directory", path);
    char **names = NULL;
    size_t room = 0;
    *count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*count == room) {
            room = room == 0 ? 64 : 2 * room;
            names = realloc(names, room * sizeof *names);
        }
        char *name = strdup(entry->d_name);
        if (names == NULL || name == NULL)
            fail("remember the names of", path);
        names[(*count)++] = name;
    }
    closedir(dir);
    if (*count > 0)
        qsort(names, *count, sizeof *names, by_name);
    return names;
}

typedef void visit(const char *path, const struct stat *stat, void *context);

/* Calls `visit` for every entry below `path`, a directory before what is in it. */
static void walk(const char *path, visit *visit, void *context)
{
    size_t count;
    char **names = names_of(path, &count);
    for (size_t i = 0; i < count; i++) {
        char below[PATH_BYTES_MAX];
        if (snprintf(below, sizeof below, "%s/%s", path, names[i]) >= (int)sizeof below)
            fail("walk a path this long below", path);
        struct stat stat;
        if (lstat(below, &stat) != 0)
            fail("look at", below);
        visit(below, &stat, context);
        if (S_ISDIR(stat.st_mode))
            walk(below, visit, context);
        free(names[i]);
    }
    free(names);
}

static size_t link_target(const char *path, char *target)
{
    ssize_t size = readlink(path, target, PATH_BYTES_MAX - 1);
    if (size < 0)
        fail("read the link", path);
    target[size] = 0;
    return (size_t)size;
}

/* As `ls -l` of coreutils with libacl: attributes, an ACL if there is one, the target of a link. */
static void list_entry(const char *path, const struct stat *stat, void *context)
{
    struct tally *tally = context;
    char value[PATH_BYTES_MAX];
    if (S_ISLNK(stat->st_mode)) {
        link_target(path, value);
    } else {
        getxattr(path, "system.posix_acl_access", value, sizeof value);
        if (S_ISDIR(stat->st_mode))
            getxattr(path, "system.posix_acl_default", value, sizeof value);
    }
    tally->entries++;
    tally->bytes += S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0;
}

void list_tree(const char *path, struct tally *tally)
{
    walk(path, list_entry, tally);
}

struct check {
    struct tally *tally;
    /* Where the paths in the sum begin. */
    size_t root_length;
    /* Links that lead below here stand for files. */
    const char *store;
};

/* A line of text, filled up with zeros to whole words. */
static void sum_line(struct sum *sum, const char *line, int length)
{
    if (length < 0)
        fail("describe", line);
    sum_words(sum, line, (size_t)length);
}

static void check_entry(const char *path, const struct stat *link, void *context)
{
    const struct check *check = context;
    struct tally *tally = check->tally;
    struct stat stat = *link;
    char target[PATH_BYTES_MAX] = "";
    if (S_ISLNK(stat.st_mode)) {
        link_target(path, target);
        size_t length = strlen(check->store);
        if (length > 0 && strncmp(target, check->store, length) == 0 && lstat(target, &stat) != 0)
            fail("look at", target);
    }
    const char *name = path + check->root_length;
    char line[2 * PATH_BYTES_MAX + 128];
    memset(line, 0, sizeof line);
    int length;
    if (S_ISREG(stat.st_mode)) {
        struct sum content = read_content(path, tally);
        length = snprintf(line, sizeof line, "%s f %lld %08x%08x\n", name, (long long)stat.st_size, content.a,
                          content.b);
    } else if (S_ISLNK(stat.st_mode)) {
        length = snprintf(line, sizeof line, "%s l %s\n", name, target);
    } else if (S_ISDIR(stat.st_mode)) {
        length = snprintf(line, sizeof line, "%s d\n", name);
    } else {
        length = snprintf(line, sizeof line, "%s %o %u:%u\n", name, stat.st_mode & S_IFMT, major(stat.st_rdev),
                          minor(stat.st_rdev));
    }
    sum_line(&tally->content, line, length);
    memset(line, 0, sizeof line);
    /* Seconds: not every file system of the comparison keeps more. A link into the store has what a link has. */
    length = snprintf(line, sizeof line, "%s %o %u %u %lld\n", name, link->st_mode, link->st_uid, link->st_gid,
                      (long long)link->st_mtim.tv_sec);
    sum_line(&tally->metadata, line, length);
    tally->entries++;
}

void check_tree(const char *path, const char *store, struct tally *tally)
{
    struct check check = {.tally = tally, .root_length = strlen(path), .store = store};
    tally->content = tally->metadata = sum_start();
    walk(path, check_entry, &check);
}
