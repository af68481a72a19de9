/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/image.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/run.h"

#include <fcntl.h>
#include <unistd.h>

bool
image_to_raw(const char *from, const char *format, const char *to, const gint *cancel, GError **err)
{
    const char *const argv[] = { "qemu-img", "convert", "-q", "-f", format, "-O", "raw", from, to, NULL };
    if (access(to, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "Image '%s' exists already.", to);
    if (!run_program(argv, cancel, NULL, err)) {
        unlink(to);
        return false;
    }
    auto_fd fd = open(to, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Image '%s' cannot be opened", to);
    return file_sync(fd, to, err);
}
