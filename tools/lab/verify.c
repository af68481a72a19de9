/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads what the lab's writer left on disks (see record.h) and says up to which record they are whole, or where a gap is.
 *
 * An image is a raw file, anything that qemu-img opens (qcow2 with its backing files), or an NBD URI.  What is not raw is copied
 * to an unnamed temporary file first, so nothing remains when we are killed.  A running guest's image may be torn by its very nature.
 * Exit status: 0 whole, 1 a gap or a torn record, 2 cannot tell. */
#include "record.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_TELL = 2 };

struct disk {
    const char *path;
    uint64_t index;
    int fd;
    uint64_t *found; /* per slot: the number there, 0 none */
    struct head head;
    uint64_t last, whole, last_us; /* highest record; gap-free up to here; when the last was written */
    char why[256];                 /* empty: no gap */
};

static void
run(char *const argv[])
{
    int status = 0;
    pid_t child = fork();
    if (child < 0)
        err(CANNOT_TELL, "cannot fork");
    if (child == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execvp(argv[0], argv);
        err(CANNOT_TELL, "cannot run '%s'", argv[0]);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            err(CANNOT_TELL, "cannot wait for '%s'", argv[0]);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        errx(CANNOT_TELL, "'%s' could not read '%s'", argv[0], argv[argv[1][0] == 'c' ? 6 : 1]);
}

/* The child reaches our unnamed file through /proc, hence no name that could be left behind. */
static int
copy_to_raw(const char *path, bool uri)
{
    const char *folder = getenv("TMPDIR");
    int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        err(CANNOT_TELL, "cannot make a temporary file");
    char target[64], *source = strdup(path);
    snprintf(target, sizeof(target), "/proc/%d/fd/%d", (int)getpid(), fd);
    char nbdcopy[] = "nbdcopy", qemu_img[] = "qemu-img", convert[] = "convert", share[] = "-U", to[] = "-O", raw[] = "raw", end[] = "--";
    char *const by_uri[] = {nbdcopy, source, target, NULL};
    char *const by_image[] = {qemu_img, convert, share, to, raw, end, source, target, NULL};
    run(uri ? by_uri : by_image);
    free(source);
    return fd;
}

static int
open_image(const char *path)
{
    char magic[4] = "";
    if (strstr(path, "://"))
        return copy_to_raw(path, true);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        err(CANNOT_TELL, "cannot open '%s'", path);
    if (pread(fd, magic, 4, 0) == 4 && memcmp(magic, "QFI\xfb", 4) == 0) {
        close(fd);
        return copy_to_raw(path, false);
    }
    return fd;
}

static void __attribute__((format(printf, 2, 3)))
blame(struct disk *d, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!d->why[0])
        vsnprintf(d->why, sizeof(d->why), format, list);
    va_end(list);
}

static uint64_t
size_of(const struct disk *d)
{
    off_t end = lseek(d->fd, 0, SEEK_END);
    if (end < 0)
        err(CANNOT_TELL, "cannot tell the size of '%s'", d->path);
    return (uint64_t)end;
}

static bool
is_zero(const void *data, size_t bytes)
{
    const char *p = data;
    return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

static void
read_head(struct disk *d)
{
    char block[RECORD_SIZE] = "";
    uint64_t size = size_of(d);
    if (pread(d->fd, block, sizeof(block), 0) < 0)
        err(CANNOT_TELL, "cannot read '%s'", d->path);
    memcpy(&d->head, block, sizeof(d->head));
    if (is_zero(block, sizeof(block))) {
        d->head = (struct head){.slots = size / RECORD_SIZE ? size / RECORD_SIZE - 1 : 0};
        return;
    }
    if (!head_is_whole(&d->head) || d->head.slots > size / RECORD_SIZE - 1) {
        d->head = (struct head){0};
        blame(d, "block 0 is not the writer's head");
    }
}

/* Block -> slot: the inverse of slot_place, by running it once over all slots. */
static uint64_t *
slots_by_block(const struct head *head)
{
    uint64_t *slots = calloc(head->slots + 1, sizeof(uint64_t));
    if (!slots)
        err(CANNOT_TELL, "no memory");
    for (uint64_t slot = 0; slot < head->slots; slot++)
        slots[slot_place(slot, head->slots, head->spread)] = slot;
    return slots;
}

static void
look_at(struct disk *d, const void *data, uint64_t block, const uint64_t *slots)
{
    const struct record *r = data;
    if (block == 0 || is_zero(data, RECORD_SIZE))
        return;
    if (r->magic != RECORD_MAGIC || block > d->head.slots) {
        blame(d, "block %" PRIu64 " is neither a record nor empty", block);
    } else if (!record_is_whole(r, d->index)) {
        blame(d, "block %" PRIu64 " holds a torn record (it says %" PRIu64 " of disk %" PRIu64 ")", block, r->number, r->disk);
    } else if (d->head.magic == 0) {
        blame(d, "block %" PRIu64 " holds record %" PRIu64 ", but the head in block 0 is missing", block, r->number);
    } else if ((r->number - 1) % d->head.slots != slots[block - 1]) {
        blame(d, "block %" PRIu64 " holds record %" PRIu64 ", which belongs elsewhere", block, r->number);
    } else {
        d->found[slots[block - 1]] = r->number;
        if (r->number > d->last) {
            d->last = r->number;
            d->last_us = r->written_us;
        }
    }
}

static void
scan_range(struct disk *d, off_t from, off_t to, const uint64_t *slots)
{
    enum { CHUNK = 256 * RECORD_SIZE };
    static char data[CHUNK] __attribute__((aligned(RECORD_SIZE)));
    for (off_t at = from / RECORD_SIZE * RECORD_SIZE; at < to; at += CHUNK) {
        ssize_t got = pread(d->fd, data, CHUNK, at);
        if (got < 0)
            err(CANNOT_TELL, "cannot read '%s'", d->path);
        for (ssize_t i = 0; i + RECORD_SIZE <= got; i += RECORD_SIZE)
            look_at(d, data + i, (uint64_t)(at + i) / RECORD_SIZE, slots);
    }
}

static void
scan(struct disk *d)
{
    uint64_t *slots = slots_by_block(&d->head);
    d->found = calloc(d->head.slots + 1, sizeof(uint64_t));
    if (!d->found)
        err(CANNOT_TELL, "no memory");
    off_t data = lseek(d->fd, 0, SEEK_DATA);
    while (data >= 0) {
        off_t hole = lseek(d->fd, data, SEEK_HOLE);
        scan_range(d, data, hole, slots);
        data = lseek(d->fd, hole, SEEK_DATA);
    }
    free(slots);
}

/* With the last record known, every slot has one right number.  The first number that is missing is where the gap begins. */
static void
find_gap(struct disk *d)
{
    uint64_t slots = d->head.slots, missing = 0, missing_found = 0;
    d->whole = d->last;
    uint64_t oldest = d->last > slots ? d->last - slots + 1 : 1;
    for (uint64_t number = oldest; number <= d->last && !missing; number++)
        if (d->found[(number - 1) % slots] != number) {
            missing = number;
            missing_found = d->found[(number - 1) % slots];
        }
    if (!missing)
        return;
    d->whole = missing - 1;
    blame(d, "record %" PRIu64 " is missing (its slot holds %" PRIu64 "), but record %" PRIu64 " is there", missing,
          missing_found, d->last);
}

static void
examine(struct disk *d, const char *path, uint64_t index)
{
    *d = (struct disk){.path = path, .index = index, .fd = open_image(path)};
    read_head(d);
    scan(d);
    find_gap(d);
    close(d->fd);
    free(d->found);
}

/* The writer's order over two disks: the first is level or one ahead. */
static const char *
compare(const struct disk *disks, int count, uint64_t *records)
{
    static char why[256];
    *records = disks[0].whole;
    for (int i = 0; i < count; i++)
        if (disks[i].why[0]) {
            *records = disks[i].whole < *records ? disks[i].whole : *records;
            snprintf(why, sizeof(why), "disk %d", i);
        }
    if (why[0] || count == 1)
        return why[0] ? why : NULL;
    *records = disks[1].whole < disks[0].whole ? disks[1].whole : disks[0].whole;
    if (disks[0].whole - disks[1].whole <= 1)
        return NULL;
    snprintf(why, sizeof(why), "the disks are of different instants: the first ends with record %" PRIu64 ", the second with %" PRIu64,
             disks[0].whole, disks[1].whole);
    return why;
}

static void
print_json_string(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if ((unsigned char)*text < 0x20)
            printf("\\u%04x", (unsigned)*text);
        else
            printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    putchar('"');
}

static void
print_json(const struct disk *disks, int count, uint64_t records, const char *why)
{
    printf("{\"ok\": %s, \"records\": %" PRIu64 ", \"reason\": ", why ? "false" : "true", records);
    if (why)
        print_json_string(why);
    else
        printf("null");
    printf(", \"disks\": [");
    for (int i = 0; i < count; i++) {
        const struct disk *d = &disks[i];
        printf("%s{\"path\": ", i ? ", " : "");
        print_json_string(d->path);
        printf(", \"whole\": %" PRIu64 ", \"last\": %" PRIu64 ", \"last_us\": %" PRIu64 ", \"slots\": %" PRIu64 ", \"gap\": ",
               d->whole, d->last, d->last_us, d->head.slots);
        if (d->why[0])
            print_json_string(d->why);
        else
            printf("null");
        putchar('}');
    }
    printf("]}\n");
}

static void
print_text(const struct disk *disks, int count, uint64_t records, const char *why)
{
    for (int i = 0; i < count; i++)
        printf("disk %d  %s  whole up to record %" PRIu64 "%s%s\n", i, disks[i].path, disks[i].whole,
               disks[i].why[0] ? ": " : "", disks[i].why);
    if (why)
        printf("BROKEN: %s; gap-free up to record %" PRIu64 "\n", why, records);
    else
        printf("whole: records 1..%" PRIu64 "\n", records);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"records", no_argument, NULL, 'r'},
                                            {"disk", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    static const char usage[] = "usage: verify [--json | --records] [--disk 0|1] IMAGE [IMAGE]\n"
                                "IMAGE: raw file, qcow2 file or NBD URI; the first is the guest's vda, the\n"
                                "second its vdb.  --records prints the number of whole records only;\n"
                                "--disk 1 says that a single IMAGE is vdb.  Exit status: 0 whole, 1 a gap.\n";
    bool json = false, number_only = false;
    uint64_t first = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (option == '?')
            errx(CANNOT_TELL, "%s", usage);
        json = json || option == 'j';
        number_only = number_only || option == 'r';
        first = option == 'd' ? strtoull(optarg, NULL, 10) : first;
    }
    int count = argc - optind;
    if (count < 1 || count > 2)
        errx(CANNOT_TELL, "%s", usage);

    struct disk disks[2];
    uint64_t records = 0;
    for (int i = 0; i < count; i++)
        examine(&disks[i], argv[optind + i], first + (uint64_t)i);
    const char *why = compare(disks, count, &records);
    if (json)
        print_json(disks, count, records, why);
    else if (number_only && !why)
        printf("%" PRIu64 "\n", records);
    else
        print_text(disks, count, records, why);
    return why ? 1 : 0;
}
