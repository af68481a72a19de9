/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "vm/capture.h"

/* A real guest under test inside a lab host, and copies of its disks that captures bring up to date: what vm_capture.c, vm_pull.c and
 * vm_disks.c share.  The guest writes records (tools/lab/record.h) to its first two disks; every failure is an assertion. */

enum { LAB_DISKS = 8 };

extern struct lab {
    struct uuid vm;
    const char *uuid, *images[2], *work, *verify;
    const char *const *all;    /* targets; the first two are the writer's */
    struct vm_conn *conn;
    struct capture_engine *engine;
    int copies[LAB_DISKS];     /* WORK/<target>.raw, in the order of `all` */
    struct uuid since;         /* log that the copies stand for */
    guint64 records;           /* that they held when last verified */
} lab;

void lab_open(int argc, char **argv, const char *const *all); /* UUID IMAGE IMAGE WORK VERIFY; waits for the writer */
int lab_close(int status);
void open_copies(void);
void size_copies(void);

struct capture_engine *engine_with(guint64 reserve);
struct capture_engine *engine_of_two_passes(void);            /* whatever is marked */
char *run_line(const char *line);                             /* a shell line that must succeed; its output, g_free */
void shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
char *guest_name(void);
guint64 number_from(const char *command);
void pause_ms(gulong ms);
void wait_for_writer(void);
void start_guest(void);
void await_off(void);
void migrate_there_and_back(void); /* to the lab's other host, which sees the same images */

guint64 apply(struct capture *c, const char *const *targets); /* brings the copies to what the capture says; the bytes marked */
struct capture *begin(const char *const *targets, enum capture_mode mode, const struct uuid *log);
void end(struct capture *c, bool durable);
guint64 cycle_of(const char *const *targets, enum capture_mode mode);
guint64 cycle(enum capture_mode mode);                        /* all targets */
void verify_copies(void); /* records 1..k without a gap on both disks, and never fewer than before */
void cycle_and_verify(int times);

bool is_since(void *user, const struct uuid *log);
void recover_expect(const char *const *targets, enum err_code expected); /* ERR_COUNT: success */
void begin_expect(struct capture_engine *e, const char *const *targets, enum capture_mode mode, enum err_code expected);

/* What QEMU holds of ours. */
struct residue {
    guint64 bitmaps, nodes, exports, jobs, qemu_fds, own_fds, files, scratch_kib;
};
struct residue count_residue(void);
void assert_clean(guint64 bitmaps);
