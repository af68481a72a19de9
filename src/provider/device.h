/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "provider/common.h"
#include "vm/domain.h"

/* What the classes of virtual hardware share.  Every device and every setting of one belongs to an owner: a guest, or a recovery point with
 * the definition that was in force at its instant.  Identities:
 *
 *   Microsoft:<GUID>                       settings of the owner (common.h)
 *   Microsoft:<GUID>\Processor | \Memory | \Machine | \Controller\<bus> | \Video<n> | \Serial<n>
 *   Microsoft:<GUID>\<target>              the image of a disk (Msvm_StorageAllocationSettingData)
 *   Microsoft:<GUID>\<target>\Drive        the drive that it is in
 *   Microsoft:<GUID>\<MAC>                 a network card, 12 hexadecimal digits
 *   Microsoft:<GUID>\<MAC>\Connection | \FailoverNetwork
 *
 * Enumerating a class lists the guests' instances; those of recovery points are found by Get and as associators of their settings. */

struct device_owner {
    struct repl_service *service;
    struct uuid id;                     /* of the settings: the guest's or the point's */
    const struct vm_facts *facts;       /* NULL: a recovery point, which has settings but no devices */
    const struct vm_hardware *hardware;
};
/* Emits all instances of one class that the owner has; false: enough. */
typedef bool (*device_list)(const struct device_owner *o, cim_emit emit, void *sink);

/* source: only the owner whose GUID it carries, if it carries one. */
bool device_enumerate(struct repl_service *s, const struct cim_path *source, device_list list, cim_emit emit, void *sink, GError **err);
/* The instance that the keys of `path` name; NULL with ERR_NO_SUCH_INSTANCE, or without an error where the path carries no GUID. */
struct cim_instance *device_get(struct repl_service *s, const struct cim_path *path, device_list list, GError **err);
/* The GUID of the owner out of InstanceID, SystemName, DeviceID or Name. */
bool device_guid(const struct cim_path *path, struct uuid *id);

char *device_id(const struct device_owner *o, const char *format, ...) G_GNUC_PRINTF(2, 3); /* "Microsoft:<GUID>\..."; g_free */
char *device_path_text(const struct device_owner *o, const char *cls, const char *instance_id); /* absolute, with the host; g_free */

/* An instance of a subclass of CIM_ResourceAllocationSettingData; takes id. */
struct cim_instance *
device_setting(const struct device_owner *o, const char *cls, char *id, const char *name, guint type, const char *subtype);
/* An instance of a subclass of CIM_LogicalDevice of a guest; `part` completes its DeviceID. */
struct cim_instance *device_new(const struct device_owner *o, const char *cls, const char *part, const char *name);

/* Network cards. */
char *device_port(const struct device_owner *o, const struct vm_card *card); /* InstanceID; g_free */
char *device_mac(const struct vm_card *card);                                /* "525400AABBCC"; g_free */

/* The lists behind the classes, for associations. */
bool list_processor_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_memory_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_resource_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_storage_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_port_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_connection_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_serial_setting(const struct device_owner *o, cim_emit emit, void *sink);
bool list_processor(const struct device_owner *o, cim_emit emit, void *sink);
bool list_disk_drive(const struct device_owner *o, cim_emit emit, void *sink);
bool list_keyboard(const struct device_owner *o, cim_emit emit, void *sink);
bool list_synthetic_display(const struct device_owner *o, cim_emit emit, void *sink);
bool list_s3_display(const struct device_owner *o, cim_emit emit, void *sink);
bool list_video_head(const struct device_owner *o, cim_emit emit, void *sink);
bool list_kvp_name(const struct device_owner *o, cim_emit emit, void *sink);

/* One row of all.c per class whose instances are such a list. */
#define DEVICE_PROVIDER(name, class_name, list) DEVICE_PROVIDER_WITH(name, class_name, list, NULL)
#define DEVICE_PROVIDER_WITH(name, class_name, list, methods) \
    static bool name##_enumerate(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err) \
    { \
        return device_enumerate(service_of(user), source, list, emit, sink, err); \
    } \
    static struct cim_instance *name##_get(void *user, const struct cim_path *path, GError **err) \
    { \
        return device_get(service_of(user), path, list, err); \
    } \
    const struct cim_provider name = {class_name, name##_enumerate, name##_get, methods}
