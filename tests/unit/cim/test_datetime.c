/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/value.h"

static void
test_read(void)
{
    static const struct {
        const char *text, *dmtf, *iso; /* NULL: refused */
    } rows[] = {
        {"20140403144550.468750+480", "20140403064550.468750+000", "2014-04-03T06:45:50.468750Z"},
        {"20140403144550.000000-060", "20140403154550.000000+000", "2014-04-03T15:45:50Z"},
        {"2014-04-03T14:45:50.46875+08:00", "20140403064550.468750+000", "2014-04-03T06:45:50.468750Z"},
        {"2014-04-03T14:45:50Z", "20140403144550.000000+000", "2014-04-03T14:45:50Z"},
        {"2014-04-03T14:45:50", "20140403144550.000000+000", "2014-04-03T14:45:50Z"},
        {"2024-02-29T23:59:59.999999Z", "20240229235959.999999+000", "2024-02-29T23:59:59.999999Z"},
        {"1969-12-31T23:59:59.5Z", "19691231235959.500000+000", "1969-12-31T23:59:59.500000Z"},
        {"0099-01-01T00:00:00Z", "00990101000000.000000+000", "0099-01-01T00:00:00Z"},
        {"00000000183000.000000:000", "00000000183000.000000:000", "P0DT18H30M0S"},
        {"00000012010203.000004:000", "00000012010203.000004:000", "P12DT1H2M3.000004S"},
        {"00000000090000.000000+000", "00000000090000.000000:000", "P0DT9H0M0S"},
        {"00000000003000.000000+060", "00000000233000.000000:000", "P0DT23H30M0S"},
        {"********183000.000000+000", "00000000183000.000000:000", "P0DT18H30M0S"},
        {"P0DT0H1M40S", "00000000000140.000000:000", "P0DT0H1M40S"},
        {"PT1M30S", "00000000000130.000000:000", "P0DT0H1M30S"},
        {"PT60.000S", "00000000000100.000000:000", "P0DT0H1M0S"},
        {"PT0.25S", "00000000000000.250000:000", "P0DT0H0M0.250000S"},
        {"P0Y0M1DT2H", "00000001020000.000000:000", "P1DT2H0M0S"},
        {"P99999999D", "99999999000000.000000:000", "P99999999DT0H0M0S"},
        {"P99999999DT23H59M59.999999S", "99999999235959.999999:000", "P99999999DT23H59M59.999999S"},
        {"PT0.0000019S", "00000000000000.000001:000", "P0DT0H0M0.000001S"},
        {"00010101000000.000000+000", "00010101000000.000000+000", "0001-01-01T00:00:00Z"},
        {"99991231235959.999999+000", "99991231235959.999999+000", "9999-12-31T23:59:59.999999Z"},
        {"00010101000000.000000+001", NULL, NULL},
        {"99991231235960.000000+000", NULL, NULL},
        {"9999-12-31T23:59:59-00:01", NULL, NULL},
        {"P99999999DT24H", NULL, NULL},
        {"PT99999999999999999999999S", NULL, NULL},
        {"PT9999999999999.9S", NULL, NULL},
        {"P5", NULL, NULL},
        {"PT.5S", NULL, NULL},
        {"", NULL, NULL},
        {"P", NULL, NULL},
        {"PT", NULL, NULL},
        {"P1Y", NULL, NULL},
        {"P1M", NULL, NULL},
        {"PT1D", NULL, NULL},
        {"-PT5S", NULL, NULL},
        {"PT0x10S", NULL, NULL},
        {"PT1e3S", NULL, NULL},
        {"PTinfS", NULL, NULL},
        {"P100000000D", NULL, NULL},
        {"PT5", NULL, NULL},
        {"20140403144550.468750+48", NULL, NULL},
        {"20140403144550.468750*480", NULL, NULL},
        {"20140403144550,468750+480", NULL, NULL},
        {"20141303144550.000000+000", NULL, NULL},
        {"20140230144550.000000+000", NULL, NULL},
        {"20140403244550.000000+000", NULL, NULL},
        {"00000000240000.000000:000", NULL, NULL},
        {"00000000000000.000000:001", NULL, NULL},
        {"0000000a000000.000000:000", NULL, NULL},
        {"2014-04-03 14:45:50", NULL, NULL},
        {"2014-04-03T14:45", NULL, NULL},
        {"2014-04-03T14:45:50.", NULL, NULL},
        {"2014-04-03T14:45:50+99:00", NULL, NULL},
        {"2014-04-03T14:45:50+0", NULL, NULL},
        {"2014-04-03T14:45:50+01:60", NULL, NULL},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct cim_datetime t;
        bool ok = cim_datetime_parse(rows[i].text, &t);
        g_test_message("%s", rows[i].text);
        g_assert_true(ok == (rows[i].dmtf != NULL));
        g_autofree char *dmtf = ok ? cim_datetime_dmtf(&t) : NULL, *iso = ok ? cim_datetime_iso(&t) : NULL;
        g_assert_cmpstr(dmtf, ==, rows[i].dmtf);
        g_assert_cmpstr(iso, ==, rows[i].iso);
    }
}

/* Whatever can be written is read back as the same instant, in both forms. */
static void
test_round(void)
{
    for (int i = 0; i < 5000; i++) {
        bool interval = g_test_rand_bit();
        double span = interval ? 8.6e18 : 4e15;
        struct cim_datetime t = {.interval = interval, .us = (gint64)g_test_rand_double_range(interval ? 0 : -span, span)}, a, b;
        g_autofree char *dmtf = cim_datetime_dmtf(&t), *iso = cim_datetime_iso(&t);
        g_assert_true(cim_datetime_parse(dmtf, &a) && cim_datetime_parse(iso, &b));
        g_assert_true(a.interval == interval && b.interval == interval);
        g_assert_cmpint(a.us, ==, t.us);
        g_assert_cmpint(b.us, ==, t.us);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cim/datetime/read", test_read);
    g_test_add_func("/cim/datetime/round", test_round);
    return g_test_run();
}
