/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

#include <string.h>

/* Msvm_Keyboard, Msvm_SyntheticDisplayController, Msvm_S3DisplayController and Msvm_VideoHead: what stands in front of a guest's console.
 * A paravirtual graphics card is the synthetic one, an emulated one (vga, cirrus, ...) the S3.  Resolutions
 * are known to the guest alone. */

bool
list_keyboard(const struct device_owner *o, cim_emit emit, void *sink)
{
    if (!o->facts || !o->hardware->keyboard)
        return true;
    struct cim_instance *i = device_new(o, "Msvm_Keyboard", "Keyboard", "Keyboard");
    cim_set_string(i, "Description", "Keyboard of a virtual machine");
    cim_set_bool(i, "UnicodeSupported", false);
    return emit(sink, i);
}

DEVICE_PROVIDER(keyboard, "Msvm_Keyboard", list_keyboard);

static bool
is_synthetic(const struct vm_video *v)
{
    static const char *const models[] = {"virtio", "qxl", "ramfb", "bochs", NULL};
    return v->model && g_strv_contains(models, v->model);
}

static bool
list_display(const struct device_owner *o, bool synthetic, cim_emit emit, void *sink)
{
    for (guint n = 0; o->facts && n < o->hardware->videos->len; n++) {
        const struct vm_video *v = g_ptr_array_index(o->hardware->videos, n);
        if (is_synthetic(v) != synthetic || g_strcmp0(v->model, "none") == 0)
            continue;
        g_autofree char *part = g_strdup_printf("Video%u", n);
        struct cim_instance *i = device_new(o, synthetic ? "Msvm_SyntheticDisplayController" : "Msvm_S3DisplayController", part,
                                            "Display controller");
        cim_set_string(i, "Description", "Display controller of a virtual machine");
        cim_set_string(i, "VideoProcessor", v->model);
        if (v->heads)
            cim_set_uint(i, "MaxNumberControlled", v->heads);
        if (v->memory_kib)
            cim_set_uint(i, "MaxMemorySupported", v->memory_kib * 1024);
        if (!emit(sink, i))
            return false;
    }
    return true;
}

bool
list_synthetic_display(const struct device_owner *o, cim_emit emit, void *sink)
{
    return list_display(o, true, emit, sink);
}

bool
list_s3_display(const struct device_owner *o, cim_emit emit, void *sink)
{
    return list_display(o, false, emit, sink);
}

DEVICE_PROVIDER(synthetic_display, "Msvm_SyntheticDisplayController", list_synthetic_display);
DEVICE_PROVIDER(s3_display, "Msvm_S3DisplayController", list_s3_display);

bool
list_video_head(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; o->facts && n < o->hardware->videos->len; n++) {
        const struct vm_video *v = g_ptr_array_index(o->hardware->videos, n);
        for (guint head = 0; g_strcmp0(v->model, "none") != 0 && head < MAX(v->heads, 1); head++) {
            g_autofree char *part = g_strdup_printf("Video%u\\Head%u", n, head);
            if (!emit(sink, device_new(o, "Msvm_VideoHead", part, "Video head")))
                return false;
        }
    }
    return true;
}

DEVICE_PROVIDER(video_head, "Msvm_VideoHead", list_video_head);
