/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/vmops.h"

#include "vm/image.h"
#include "vm/network.h"
#include "vm/screenshot.h"

#include "vm/inventory.h"
#include "vm/vcpu.h"

const struct repl_vm_ops repl_vm_real = {
    .list = vm_view_list, .view = vm_view_get, .facts_get = vm_facts_get, .power_get = vm_power_get,
    .migrated = vm_migrated, .watch = vm_conn_watch,
    .start = vm_start, .force_off = vm_force_off, .shutdown = vm_shutdown, .reset = vm_reset, .pause = vm_pause, .resume = vm_resume,
    .resume_stalled = vm_resume_stalled,
    .save = vm_save, .discard_save = vm_discard_save, .reboot = vm_reboot, .inject_nmi = vm_inject_nmi, .rename = vm_rename,
    .set_notes = vm_set_notes, .set_autostart = vm_set_autostart, .agent_info = vm_agent_info, .agent_run = vm_agent_run,
    .screenshot = vm_screenshot,
    .define = vm_define, .undefine = vm_undefine,
    .host = vm_host_get, .networks = vm_networks, .addresses = vm_guest_addresses, .vcpu_times = vm_vcpu_times,
    .engine_new = capture_engine_new, .engine_free = capture_engine_free, .choose = capture_choose,
    .recover = capture_recover, .begin = capture_begin, .begin_around = capture_begin_around,
    .quiesce_begin = quiesce_begin, .quiesce_end = quiesce_end, .thaw = vm_thaw,
    .instant_us = capture_instant_us, .domain_xml = capture_domain_xml, .nvram = capture_nvram,
    .tpm = capture_tpm,
    .disk = capture_disk, .extents = capture_extents,
    .end = capture_end, .forget = capture_forget, .pending = capture_pending,
    .serve_start = serve_start, .serve_running = serve_running, .serve_stop = serve_stop,
    .overlay_create = overlay_create, .overlay_flatten = overlay_flatten, .overlay_is_flat = overlay_is_flat,
    .pull_start = overlay_pull_start, .pull_state = overlay_pull_state, .pull_stop = overlay_pull_stop,
    .pull_rate = overlay_pull_rate,
    .forget_backing = overlay_forget_backing, .network_isolated = network_isolated, .image_to_raw = image_to_raw,
};
