/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lab guest's writer: numbered records to two disks, each flushed before the next (see record.h).
 *
 *   writer RATE|max SLOTS SPREAD DISK DISK     SLOTS 0: as many as the smaller disk has room for
 *
 * Goes on after the last record that both disks hold.  SIGUSR1 stops it between two records (then /run/writer.paused exists),
 * SIGUSR2 lets it go on: the guest agent's freeze hook makes application-consistent points with these.
 *
 * With max it tells each second how long its writes took, each of them with its flush: "WRITER us FLOOR:COUNT FLOOR:COUNT ...", COUNT
 * writes of FLOOR microseconds or up to 1/16 more. */
#include "record.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAUSED "/run/writer.paused"

enum { STEPS = 16, SLOWEST = 40 * STEPS };

static void *block; /* O_DIRECT wants one aligned buffer */
static uint32_t took[SLOWEST]; /* writes of this second: a bucket has 1/16 of a power of two of microseconds */

static uint64_t
now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
read_block(int fd, uint64_t number)
{
    if (pread(fd, block, RECORD_SIZE, (off_t)(number * RECORD_SIZE)) != RECORD_SIZE)
        err(1, "cannot read block %" PRIu64, number);
}

static void
write_block(int fd, uint64_t number)
{
    if (pwrite(fd, block, RECORD_SIZE, (off_t)(number * RECORD_SIZE)) != RECORD_SIZE)
        err(1, "cannot write block %" PRIu64, number);
    if (fdatasync(fd) != 0)
        err(1, "cannot flush");
}

/* Below 2 * STEPS each microsecond has its own bucket; above, the highest five bits say which. */
static unsigned
bucket_of(uint64_t us)
{
    unsigned shift = us < 2 * STEPS ? 0 : 59 - (unsigned)__builtin_clzll(us);
    unsigned at = shift * STEPS + (unsigned)(us >> shift);
    return at < SLOWEST ? at : SLOWEST - 1;
}

static uint64_t
floor_of(unsigned bucket)
{
    unsigned shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    return (uint64_t)(bucket - shift * STEPS) << shift;
}

static void
tell_how_long(void)
{
    printf("WRITER us");
    for (unsigned i = 0; i < SLOWEST; i++)
        if (took[i] > 0)
            printf(" %" PRIu64 ":%u", floor_of(i), took[i]);
    printf("\n");
    memset(took, 0, sizeof(took));
}

static uint64_t
number_in_slot(int fd, uint64_t disk, uint64_t slot, const struct head *head)
{
    read_block(fd, 1 + slot_place(slot, head->slots, head->spread));
    return record_is_whole(block, disk) ? ((const struct record *)block)->number : 0;
}

/* Slots are filled in order, round after round: those of the running round come first, so halving finds its end. */
static uint64_t
last_record(int fd, uint64_t disk, const struct head *head)
{
    uint64_t first = number_in_slot(fd, disk, 0, head);
    uint64_t low = 0, high = head->slots;
    if (first == 0)
        return 0;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (number_in_slot(fd, disk, middle, head) == first + middle)
            low = middle;
        else
            high = middle;
    }
    return first + low;
}

static struct head
open_disk(const char *path, const struct head *wanted, int *fd)
{
    *fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (*fd < 0 && errno == EINVAL)
        *fd = open(path, O_RDWR | O_CLOEXEC); /* a file in tmpfs: in tests of this program */
    if (*fd < 0)
        err(1, "cannot open '%s'", path);
    read_block(*fd, 0);
    struct head found;
    memcpy(&found, block, sizeof(found));
    if (head_is_whole(&found))
        return found;
    memset(block, 0, RECORD_SIZE);
    memcpy(block, wanted, sizeof(*wanted));
    write_block(*fd, 0);
    return *wanted;
}

static uint64_t
blocks_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (bytes < 2 * RECORD_SIZE)
        err(1, "'%s' has no room or cannot be read", path);
    close(fd);
    return (uint64_t)bytes / RECORD_SIZE;
}

static struct head
wanted_head(char **disks, const char *slots, const char *spread)
{
    uint64_t room = blocks_of(disks[0]), other = blocks_of(disks[1]);
    if (other < room)
        room = other;
    struct head head = {.magic = HEAD_MAGIC, .slots = strtoull(slots, NULL, 10), .spread = strtoull(spread, NULL, 10)};
    if (head.slots == 0 || head.slots > room - 1)
        head.slots = room - 1;
    head.checksum = record_sum(&head, offsetof(struct head, checksum));
    return head;
}

static void
pause_if_told(const sigset_t *signals)
{
    const struct timespec at_once = {0};
    int got = sigtimedwait(signals, NULL, &at_once);
    if (got != SIGUSR1)
        return;
    int mark = open(PAUSED, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (sigwaitinfo(signals, NULL) != SIGUSR2)
        ;
    if (mark >= 0)
        close(mark);
    unlink(PAUSED);
}

static void
wait_until(uint64_t due_us)
{
    struct timespec t = {.tv_sec = (time_t)(due_us / 1000000), .tv_nsec = (long)(due_us % 1000000) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
}

static void
write_records(const int *fds, const struct head *head, uint64_t number, double rate)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    uint64_t due = now_us(CLOCK_MONOTONIC), told = due, told_number = number;
    for (;; number++) {
        for (uint64_t disk = 0; disk < 2; disk++) {
            record_fill(block, number, disk, now_us(CLOCK_REALTIME));
            uint64_t begun = now_us(CLOCK_MONOTONIC);
            write_block(fds[disk], 1 + slot_place((number - 1) % head->slots, head->slots, head->spread));
            took[bucket_of(now_us(CLOCK_MONOTONIC) - begun)]++;
        }
        uint64_t now = now_us(CLOCK_MONOTONIC);
        if (now - told >= 1000000) {
            printf("WRITER at %" PRIu64 ", %.0f records/s\n", number, (double)(number - told_number) * 1e6 / (double)(now - told));
            if (rate <= 0)
                tell_how_long();
            told = now;
            told_number = number;
        }
        pause_if_told(&signals);
        if (rate > 0) {
            due += (uint64_t)(1e6 / rate);
            if (due > now)
                wait_until(due);
            else
                due = now; /* the disk is slower than the rate: do not make up for it in a burst */
        }
    }
}

int
main(int argc, char **argv)
{
    if (argc != 6)
        errx(2, "usage: writer RATE|max SLOTS SPREAD DISK DISK");
    setvbuf(stdout, NULL, _IOLBF, 0);
    block = aligned_alloc(RECORD_SIZE, RECORD_SIZE);
    if (!block)
        err(1, "no memory");
    int fds[2];
    uint64_t last[2];
    struct head head = wanted_head(argv + 4, argv[2], argv[3]);
    for (uint64_t disk = 0; disk < 2; disk++) {
        head = open_disk(argv[4 + disk], &head, &fds[disk]);
        last[disk] = last_record(fds[disk], disk, &head);
    }
    uint64_t common = last[0] < last[1] ? last[0] : last[1];
    printf("WRITER resumes at %" PRIu64 " (slots %" PRIu64 ", spread %" PRIu64 ")\n", common + 1, head.slots, head.spread);
    write_records(fds, &head, common + 1, strtod(argv[1], NULL)); /* "max" is no number: 0, no pause */
}
