/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Work of the jobs that make, change and end a relationship (contract 2.2, 2.3, 2.8); the checks before them are in methods.c. */

bool establish_create_work(struct job *job, void *work, GError **err);      /* 91 */
bool establish_start_work(struct job *job, void *work, GError **err);       /* 94: ends when the copy is whole */
bool establish_stop_work(struct job *job, void *work, GError **err);        /* 109 */
bool establish_modify_work(struct job *job, void *work, GError **err);      /* 92 */
bool establish_remove_work(struct job *job, void *work, GError **err);      /* 93 */
bool establish_state_work(struct job *job, void *work, GError **err);       /* 96: pause, resume */
bool establish_test_work(struct job *job, void *work, GError **err);        /* 115 */
