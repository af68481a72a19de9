/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/info.h"

#include <string.h>

void
log_info_clear(struct log_info *info)
{
    for (unsigned i = 0; i < info->disk_count; i++)
        g_free(info->disks[i].target);
    g_free(info->disks);
    memset(info, 0, sizeof *info);
}

void
log_info_add_disk(struct log_info *info, uint16_t id, const char *target, uint64_t size)
{
    info->disks = g_renew(struct log_disk, info->disks, info->disk_count + 1);
    info->disks[info->disk_count++] = (struct log_disk){id, g_strdup(target), size};
}

void
log_info_copy(struct log_info *to, const struct log_info *from)
{
    *to = *from;
    to->disks = NULL;
    to->disk_count = 0;
    for (unsigned i = 0; i < from->disk_count; i++)
        log_info_add_disk(to, from->disks[i].id, from->disks[i].target, from->disks[i].size);
}

const struct log_disk *
log_info_disk(const struct log_info *info, uint16_t id)
{
    for (unsigned i = 0; i < info->disk_count; i++)
        if (info->disks[i].id == id)
            return &info->disks[i];
    return NULL;
}
