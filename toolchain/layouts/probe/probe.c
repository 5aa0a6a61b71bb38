/*
 * The layout probe: /init of a virtual board that follows a plan and says how long its steps took.
 *
 * The plan is a file of the initramfs with a command on each line (toolchain/layouts/guest-plan.ts writes it). Between
 * `step NAME` and `end` time runs, by the monotonic clock; the counters of the disk are noted outside of that. One
 * static program does it all, so that neither a shell nor the start of a process is part of a figure.
 *
 * Every line of the report begins with @@, and the last one says how many there were. Whatever goes wrong is said in a
 * line of its own, and the board is switched off: nobody may take half a report for a whole one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

#define PLAN "/plan"
#define COUNTERS "/sys/class/block/vda/stat"
#define LINE_BYTES_MAX 8192
#define SECTOR 512ull

static unsigned lines;

_Noreturn static void power_off(void)
{
    fflush(stdout);
    sync();
    reboot(LINUX_REBOOT_CMD_POWER_OFF);
    for (;;)
        pause();
}

_Noreturn void fail(const char *doing, const char *object)
{
    printf("@@fault cannot %s %s: %s\n", doing, object, errno == 0 ? "it is another one" : strerror(errno));
    power_off();
}

void report(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("@@", stdout);
    vprintf(format, arguments);
    fputs("\n", stdout);
    fflush(stdout);
    va_end(arguments);
    lines++;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Requests and bytes that the disk has read and written. */
struct counters {
    unsigned long long reads, read_bytes, writes, write_bytes;
};

static struct counters read_counters(void)
{
    struct counters found = {0};
    FILE *file = fopen(COUNTERS, "re");
    if (file == NULL)
        fail("open", COUNTERS);
    if (fscanf(file, "%llu %*u %llu %*u %llu %*u %llu", &found.reads, &found.read_bytes, &found.writes,
               &found.write_bytes) != 4)
        fail("read", COUNTERS);
    fclose(file);
    found.read_bytes *= SECTOR;
    found.write_bytes *= SECTOR;
    return found;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail("write", path);
    close(fd);
}

/* What the page cache holds, in KiB; what each processor has not handed in yet is counted first. */
static void report_cache(const char *name)
{
    unsigned long long cached = 0, buffers = 0, value;
    char key[64];
    put("/proc/sys/vm/stat_refresh", "1");
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        fail("open", "/proc/meminfo");
    while (fscanf(file, "%63[^:]: %llu%*[^\n]\n", key, &value) == 2) {
        if (strcmp(key, "Cached") == 0)
            cached = value;
        if (strcmp(key, "Buffers") == 0)
            buffers = value;
    }
    fclose(file);
    report("cache %s %llu %llu", name, cached, buffers);
}

static void load_module(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail("open", path);
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
        fail("load", path);
    close(fd);
}

static void make_mount(char *words)
{
    char *type = strtok(words, " ");
    char *source = strtok(NULL, " ");
    char *target = strtok(NULL, " ");
    char *mode = strtok(NULL, " ");
    char *options = strtok(NULL, " ");
    if (mode == NULL)
        fail("understand the mount", words);
    unsigned long flags = strcmp(mode, "bind") == 0 ? MS_BIND : strcmp(mode, "ro") == 0 ? MS_RDONLY : 0;
    if (mkdir(target, 0755) != 0 && errno != EEXIST)
        fail("make the directory", target);
    if (mount(source, target, type, flags, options) != 0)
        fail("mount", target);
}

/* The first word; `rest` is what follows it. */
static char *first_word(char *text, char **rest)
{
    *rest = text + strcspn(text, " ");
    if (**rest != 0)
        *(*rest)++ = 0;
    return text;
}

struct step {
    char name[64];
    struct counters from;
    uint64_t start_ns;
    struct tally tally;
};

static void begin_step(struct step *step, const char *name)
{
    memset(step, 0, sizeof *step);
    snprintf(step->name, sizeof step->name, "%s", name);
    step->from = read_counters();
    step->start_ns = now_ns();
}

static void end_step(const struct step *step)
{
    uint64_t ns = now_ns() - step->start_ns;
    struct counters to = read_counters(), from = step->from;
    report("step %s %llu %llu,%llu,%llu,%llu %llu,%llu,%llu,%llu %llu %llu", step->name, (unsigned long long)ns,
           from.reads, from.read_bytes, from.writes, from.write_bytes, to.reads, to.read_bytes, to.writes,
           to.write_bytes, (unsigned long long)step->tally.entries, (unsigned long long)step->tally.bytes);
}

static void check(const char *root, const char *store)
{
    struct tally tally = {0};
    check_tree(root, store, &tally);
    report("check %s %llu %08x%08x %08x%08x", root, (unsigned long long)tally.entries, tally.content.a,
           tally.content.b, tally.metadata.a, tally.metadata.b);
}

/* One line of the plan. */
static void follow(char *line, struct step *step)
{
    char *rest, *second;
    const char *verb = first_word(line, &rest);
    if (strcmp(verb, "step") == 0)
        begin_step(step, rest);
    else if (strcmp(verb, "end") == 0)
        end_step(step);
    else if (strcmp(verb, "module") == 0)
        load_module(rest);
    else if (strcmp(verb, "mount") == 0)
        make_mount(rest);
    else if (strcmp(verb, "directory") == 0) {
        if (mkdir(rest, 0755) != 0)
            fail("make the directory", rest);
    } else if (strcmp(verb, "list") == 0)
        list_tree(rest, &step->tally);
    else if (strcmp(verb, "cache") == 0)
        report_cache(rest);
    else {
        /* Of two words or more. */
        const char *first = first_word(rest, &second);
        if (strcmp(verb, "measure") == 0)
            measure_file(first, second);
        else if (strcmp(verb, "eager") == 0)
            measure_files(first, second, &step->tally);
        else if (strcmp(verb, "stat") == 0)
            stat_files(first, second, &step->tally);
        else if (strcmp(verb, "read") == 0)
            read_files(first, second, &step->tally);
        else if (strcmp(verb, "check") == 0)
            check(first, second);
        else if (strcmp(verb, "verity") == 0) {
            char *table;
            const char *sectors = first_word(second, &table);
            open_verity(first, strtoull(sectors, NULL, 10), table);
        } else
            fail("understand", verb);
    }
}

static void mount_system(const char *type, const char *target)
{
    if (mount(type, target, type, 0, NULL) != 0)
        fail("mount", target);
}

/*
 * Kernels randomize the stack at every system call. Until their generator has been seeded, which takes this board a
 * second, each of these costs ten thousand instructions: more than what is to be measured. The seed is no secret, and
 * nothing here needs one.
 */
static void seed_generator(void)
{
    static struct {
        struct rand_pool_info info;
        uint32_t words[8];
    } seed = {.info = {.entropy_count = 256, .buf_size = 32}};
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &seed) != 0)
        fail("seed the generator", "/dev/urandom");
    close(fd);
}

int main(void)
{
    static char line[LINE_BYTES_MAX];
    static struct step step;
    mount_system("devtmpfs", "/dev");
    mount_system("proc", "/proc");
    mount_system("sysfs", "/sys");
    seed_generator();
    FILE *plan = fopen(PLAN, "re");
    if (plan == NULL)
        fail("open", PLAN);
    while (fgets(line, sizeof line, plan) != NULL) {
        line[strcspn(line, "\n")] = 0;
        errno = 0;
        follow(line, &step);
    }
    report("end %u", lines);
    power_off();
}
