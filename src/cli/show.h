/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "cli/table.h"

#include <jansson.h>

/* CIM values for people and for programs.  Numbers of states are those of WMI (contract 6.3); returned text is g_freed by the caller
 * unless it is const. */

const char *show_mode(guint mode);      /* "Primary" */
const char *show_state(guint state);    /* "Replicating" */
const char *show_health(guint health);  /* "Ok" */
const char *show_power(guint enabled);  /* "running" */
const char *show_job_state(guint state);
enum table_colour show_health_colour(guint health);

char *show_time(gint64 wall_us);        /* local time; NULL for 0 */
char *show_span(gint64 us);             /* "12.3 s", "4 min", "3 h" */
char *show_bytes(guint64 n);            /* "1.5 MiB" */
gint64 show_get_time(const struct cim_instance *i, const char *property); /* wall time or length; 0: null */
/* Value of "key=..." among the strings of an array property; NULL. */
char *show_note(const struct cim_instance *i, const char *property, const char *key);

json_t *show_json(const struct cim_instance *i); /* every property, datetimes as ISO 8601, references as paths */
json_t *show_json_time(gint64 wall_us);          /* ISO 8601, or null for 0 */
void show_print_json(json_t *value);             /* takes value */
void show_print_instance(const struct cim_instance *i); /* "Name: value" lines, nulls left out */
