/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long a test waits for what has to come, in seconds, before it fails.  Long, since only a failure lasts so long, and a machine whose
 * disk or processors are busy with something else may stand still for a quarter of a minute. */
enum { PATIENCE_S = 100 };
