/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What the lab's guest writes and what `verify` looks for: numbered, checksummed records of one 4 KiB block each.
 *
 * Block 0 of a disk is its head (struct head): how many slots there are and how they are spread.  Record n (from 1) lives in slot
 * (n - 1) % slots, and slot s lives in block 1 + slot_place(s).  The writer puts record n on the first disk, flushes, then on the second,
 * flushes, then goes on with n + 1.  So any instant of the guest's disks shows records 1..k without a gap on each disk, and the first
 * disk is ahead by one at most.  Numbers are little-endian (the guest is x86-64, as are we). */

enum { RECORD_SIZE = 4096 };
#define RECORD_MAGIC UINT64_C(0x314452434552524d)
#define HEAD_MAGIC UINT64_C(0x314441454852524d)

struct head {
    uint64_t magic, slots, spread; /* spread: 0 slots in order, else all over the disk */
    uint64_t checksum;             /* of what stands before */
};

struct record {
    uint64_t magic, number, disk, written_us; /* disk 0, 1; real-time clock of the guest */
    uint64_t payload[(RECORD_SIZE - 40) / 8];
    uint64_t checksum; /* of what stands before */
};

_Static_assert(sizeof(struct record) == RECORD_SIZE, "a record fills its block");

static inline uint64_t
record_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Every word changes the sum, also when two words change places. */
static inline uint64_t
record_sum(const void *data, size_t bytes)
{
    uint64_t sum = bytes;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, (const char *)data + i, 8);
        sum = record_mix(sum ^ word) + i;
    }
    return sum;
}

/* A bijection of 0..slots-1: each step is one on the next power of two, and what falls outside walks on until it is inside. */
static inline uint64_t
slot_place(uint64_t slot, uint64_t slots, bool spread)
{
    if (!spread || slots < 4)
        return slot;
    unsigned bits = 64 - (unsigned)__builtin_clzll(slots - 1);
    uint64_t mask = (UINT64_C(1) << bits) - 1;
    do {
        slot = (slot * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x7f4a7c15)) & mask;
        slot ^= slot >> (bits / 2 + 1);
        slot = (slot * UINT64_C(0xd1342543de82ef95)) & mask;
    } while (slot >= slots);
    return slot;
}

/* Half of the payload is noise of its own for every record, the rest repeats: it compresses about as guests' data do. */
static inline void
record_fill(struct record *r, uint64_t number, uint64_t disk, uint64_t now_us)
{
    size_t words = sizeof(r->payload) / 8;
    *r = (struct record){.magic = RECORD_MAGIC, .number = number, .disk = disk, .written_us = now_us};
    for (size_t i = 0; i < words; i++)
        r->payload[i] = i < words / 2 ? record_mix(number * 1024 + disk * 512 + i) : number;
    r->checksum = record_sum(r, offsetof(struct record, checksum));
}

static inline bool
record_is_whole(const struct record *r, uint64_t disk)
{
    return r->magic == RECORD_MAGIC && r->number > 0 && r->disk == disk &&
           r->checksum == record_sum(r, offsetof(struct record, checksum));
}

static inline bool
head_is_whole(const struct head *h)
{
    return h->magic == HEAD_MAGIC && h->slots > 0 && h->checksum == record_sum(h, offsetof(struct head, checksum));
}
