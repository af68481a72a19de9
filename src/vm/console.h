/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What a guest says on its serial ports, read from the files that its definition makes libvirt write (domxml_consoles).
 *
 * Files and not a console stream: a stream begins when somebody opens it, takes the port away from people, and dies with libvirtd.  A file
 * that is not there yet, was made anew or was cut (virtlogd does that at 2 MiB) is read from its beginning.  Not for several threads. */

struct console;
/* text: what is waited for, at least one byte, bytes as they are. */
struct console *console_new(const char *const *files, const char *text);
void console_free(struct console *c); /* NULL is fine */
/* Reads what came since; true as soon as the text has come on one of the ports. */
bool console_seen(struct console *c);
/* The last line of printable characters that came, at most 100 of them; NULL: none.  g_free. */
char *console_last_line(const struct console *c);
