/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/json.h"

#include <string.h>

static struct wire_offer
some_offer(void)
{
    struct wire_offer o = {.vm = uuid_random(),
                           .name = g_strdup("gäst \"1\""),
                           .primary_host = g_strdup("a.example"),
                           .domain_xml = g_strdup("<domain>\n\t&amp;</domain>"),
                           .epoch = G_MAXINT64,
                           .interval_ms = 2000,
                           .history = 24,
                           .keep_every_s = 3600,
                           .app_interval_h = 4,
                           .port = 8443,
                           .additional = g_strdup("isolated"),
                           .has_head = true,
                           .head = uuid_random(),
                           .head_sequence = 7};
    o.disks = g_array_new(FALSE, TRUE, sizeof(struct wire_disk));
    struct wire_disk a = {0, g_strdup("vda"), 1ull << 40}, b = {65535, g_strdup("sdb"), 512};
    g_array_append_val(o.disks, a);
    g_array_append_val(o.disks, b);
    return o;
}

static void
test_offer(void)
{
    GError *err = NULL;
    struct wire_offer o = some_offer(), back;
    g_autofree char *text = wire_json_offer(&o);
    g_assert_true(wire_json_read_offer(text, strlen(text), &back, &err));
    g_assert_no_error(err);
    g_autofree char *again = wire_json_offer(&back);
    g_assert_cmpstr(text, ==, again);
    g_assert_true(uuid_equal(&o.vm, &back.vm));
    g_assert_cmpstr(back.name, ==, "gäst \"1\"");
    g_assert_cmpuint(back.disks->len, ==, 2);
    g_assert_cmpuint(g_array_index(back.disks, struct wire_disk, 0).size, ==, 1ull << 40);
    g_assert_cmpuint(g_array_index(back.disks, struct wire_disk, 1).id, ==, 65535);
    wire_offer_clear(&o);
    wire_offer_clear(&back);
}

static void
test_status(void)
{
    GError *err = NULL;
    for (guint i = 0; i < 4; i++) {
        struct wire_status s = {.epoch = 3,
                                .host = g_strdup("b"),
                                .state = g_strdup("replicating"),
                                .has_head = i & 1,
                                .head = uuid_random(),
                                .head_sequence = 77,
                                .has_part = i & 2,
                                .part = uuid_random(),
                                .part_bytes = 123,
                                .log_version = i,
                                .elsewhere = i & 2 ? g_strdup("c") : NULL,
                                .elsewhere_runs = i == 3,
                                .running = i & 1},
                           back;
        g_autofree char *text = wire_json_status(&s);
        g_assert_true(wire_json_read_status(text, strlen(text), &back, &err));
        g_assert_cmpint(back.has_head, ==, s.has_head);
        g_assert_true(!s.has_head || uuid_equal(&back.head, &s.head));
        g_assert_cmpint(back.has_part, ==, s.has_part);
        g_assert_true(!s.has_part || uuid_equal(&back.part, &s.part));
        g_assert_cmpuint(back.part_bytes, ==, 123);
        g_assert_cmpint(back.running, ==, s.running);
        g_assert_cmpuint(back.log_version, ==, MAX(i, 1));
        g_assert_cmpstr(back.elsewhere, ==, s.elsewhere);
        g_assert_cmpint(back.elsewhere_runs, ==, s.elsewhere_runs);
        g_assert_cmpstr(back.state, ==, "replicating");
        wire_status_clear(&s);
        wire_status_clear(&back);
    }
}

/* A peer from before hashes had forms. */
static void
test_hello(void)
{
    GError *err = NULL;
    gint64 now;
    struct wire_hello h = {.host = g_strdup("b"), .hash_forms = 2}, back;
    g_autofree char *text = wire_json_hello(&h, 5);
    g_assert_true(wire_json_read_hello(text, strlen(text), &back, &now, &err));
    g_assert_cmpuint(back.hash_forms, ==, 2);
    wire_hello_clear(&h);
    wire_hello_clear(&back);
    const char older[] = "{\"host\":\"b\",\"recovery_enabled\":true,\"authorised\":true,\"time_us\":1}";
    g_assert_true(wire_json_read_hello(older, strlen(older), &back, &now, &err));
    g_assert_cmpuint(back.hash_forms, ==, 1);
    wire_hello_clear(&back);
}

/* A peer from before there was more than one format of change logs. */
static void
test_older_status(void)
{
    GError *err = NULL;
    struct wire_status s;
    const char text[] = "{\"epoch\":1,\"host\":\"b\",\"state\":\"s\",\"head\":null,\"head_sequence\":0,\"part\":null,\"part_bytes\":0,"
                        "\"running\":false}";
    g_assert_true(wire_json_read_status(text, strlen(text), &s, &err));
    g_assert_cmpuint(s.log_version, ==, 1);
    g_assert_cmpstr(s.elsewhere, ==, NULL);
    wire_status_clear(&s);
}

static void
test_errors(void)
{
    for (enum err_code code = 0; code < ERR_COUNT; code++) {
        g_autoptr(GError) there = NULL, here = NULL;
        err_set(&there, code, "Disk '%s' \xff is \"odd\".", "vda");
        g_autofree char *text = wire_json_error(there);
        g_assert_true(wire_json_read_error(text, strlen(text), "b.example", &here));
        g_assert_error(here, ERR, (gint)code);
        g_assert_true(g_str_has_prefix(here->message, "'b.example' answers: Disk 'vda' "));
    }
    g_autoptr(GError) unknown = NULL, untouched = NULL;
    const char newer[] = "{\"error\":\"brand-new\",\"message\":\"m\"}";
    g_assert_true(wire_json_read_error(newer, strlen(newer), "b", &unknown));
    g_assert_error(unknown, ERR, ERR_FAILED);
    g_assert_false(wire_json_read_error("<html>", 6, "b", &untouched));
    g_assert_false(wire_json_read_error("{\"error\":1}", 11, "b", &untouched));
    g_assert_no_error(untouched);
}

#define STATUS(epoch, head)                                                                                                                \
    "{\"epoch\":" epoch ",\"host\":\"b\",\"state\":\"s\",\"head\":" head ",\"head_sequence\":0,\"part\":null,"                             \
    "\"part_bytes\":0,\"running\":false}"

static void
test_malformed(void)
{
    static const struct {
        const char *text;
        enum err_code code; /* ERR_COUNT: fine */
    } cases[] = {
        {STATUS("0", "null"), ERR_COUNT},
        {STATUS("0", "\"01234567-89AB-CDEF-0123-456789ABCDEF\""), ERR_COUNT},
        {"{\"newer\":[1,2],"
         "\"epoch\":1,\"host\":\"b\",\"state\":\"s\",\"head\":null,\"head_sequence\":0,\"part\":null,\"part_bytes\":0,"
         "\"running\":true}",
         ERR_COUNT},
        {STATUS("-1", "null"), ERR_MALFORMED},
        {STATUS("1.0", "null"), ERR_MALFORMED},
        {STATUS("1e99", "null"), ERR_MALFORMED},
        {STATUS("9223372036854775808", "null"), ERR_MALFORMED},
        {STATUS("\"1\"", "null"), ERR_MALFORMED},
        {STATUS("true", "null"), ERR_MALFORMED},
        {STATUS("01", "null"), ERR_MALFORMED},
        {STATUS("0", "\"not a uuid\""), ERR_MALFORMED},
        {STATUS("0", "5"), ERR_MALFORMED},
        {STATUS("0,\"epoch\":0", "null"), ERR_MALFORMED},
        {STATUS("0,\"log_version\":7", "null"), ERR_COUNT},
        {STATUS("0,\"log_version\":null", "null"), ERR_MALFORMED},
        {STATUS("0,\"elsewhere\":\"c\",\"elsewhere_runs\":true", "null"), ERR_COUNT},
        {STATUS("0,\"elsewhere\":\"c\"", "null"), ERR_MALFORMED},
        {STATUS("0,\"elsewhere\":null,\"elsewhere_runs\":true", "null"), ERR_MALFORMED},
        {STATUS("0,\"log_version\":65536", "null"), ERR_MALFORMED},
        {STATUS("0", "null") "x", ERR_MALFORMED},
        {"", ERR_MALFORMED},
        {"null", ERR_MALFORMED},
        {"[]", ERR_MALFORMED},
        {"{}", ERR_MALFORMED},
        {"{\"epoch\":\"\\u0000\"}", ERR_MALFORMED},
        {"{\"epoch\":\"\xff\"}", ERR_MALFORMED},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        struct wire_status s;
        bool fine = wire_json_read_status(cases[i].text, strlen(cases[i].text), &s, &err);
        g_test_message("case %u: %s", i, err ? err->message : "fine");
        g_assert_cmpint(fine, ==, cases[i].code == ERR_COUNT);
        if (!fine)
            g_assert_error(err, ERR, (gint)cases[i].code);
        wire_status_clear(&s);
    }
}

static void
test_limits(void)
{
    g_autoptr(GError) deep = NULL, long_ = NULL, disks = NULL;
    struct wire_offer o;
    struct wire_status s;
    g_autofree char *nest = g_strnfill(WIRE_MAX_BODY, '[');
    g_assert_false(wire_json_read_status(nest, WIRE_MAX_BODY, &s, &deep));
    g_assert_error(deep, ERR, ERR_MALFORMED);
    g_assert_false(wire_json_read_status(nest, WIRE_MAX_BODY + 1, &s, &long_));
    g_assert_error(long_, ERR, ERR_TOO_BIG);
    o = some_offer();
    struct wire_disk d = {1, (char *)(gsize) "x", 1};
    g_autoptr(GArray) own = g_steal_pointer(&o.disks);
    GArray *many = g_array_new(FALSE, TRUE, sizeof d);
    for (guint i = 0; i <= WIRE_MAX_DISKS; i++)
        g_array_append_val(many, d);
    o.disks = many;
    g_autofree char *text = wire_json_offer(&o);
    o.disks = NULL;
    g_array_unref(many);
    struct wire_offer back;
    g_assert_false(wire_json_read_offer(text, strlen(text), &back, &disks));
    g_assert_error(disks, ERR, ERR_TOO_BIG);
    g_assert_null(back.disks);
    wire_offer_clear(&o);
    o.disks = g_steal_pointer(&own);
    wire_offer_clear(&o);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire-json/offer", test_offer);
    g_test_add_func("/wire-json/status", test_status);
    g_test_add_func("/wire/json/hello", test_hello);
    g_test_add_func("/wire-json/older-status", test_older_status);
    g_test_add_func("/wire-json/errors", test_errors);
    g_test_add_func("/wire-json/malformed", test_malformed);
    g_test_add_func("/wire-json/limits", test_limits);
    return g_test_run();
}
