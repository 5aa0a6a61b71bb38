/*
 * A dm-verity device, as `veritysetup open` makes it: created, given its one table, and resumed.
 *
 * Source: Linux include/uapi/linux/dm-ioctl.h, Documentation/admin-guide/device-mapper/verity.rst.
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probe.h"

#define CONTROL "/dev/mapper/control"
#define REQUEST_BYTES 4096

union request {
    struct dm_ioctl head;
    char room[REQUEST_BYTES];
};

static void prepare(union request *request, const char *name)
{
    memset(request, 0, sizeof *request);
    request->head.version[0] = DM_VERSION_MAJOR;
    request->head.data_size = sizeof *request;
    request->head.data_start = sizeof request->head;
    snprintf(request->head.name, sizeof request->head.name, "%s", name);
}

void open_verity(const char *name, unsigned long long sectors, const char *table)
{
    static union request request;
    int control = open(CONTROL, O_RDWR | O_CLOEXEC);
    if (control < 0)
        fail("open", CONTROL);
    prepare(&request, name);
    request.head.flags = DM_READONLY_FLAG;
    if (ioctl(control, DM_DEV_CREATE, &request) != 0)
        fail("create the device", name);
    prepare(&request, name);
    request.head.flags = DM_READONLY_FLAG;
    request.head.target_count = 1;
    struct dm_target_spec target = {.length = sectors};
    snprintf(target.target_type, sizeof target.target_type, "verity");
    memcpy(request.room + sizeof request.head, &target, sizeof target);
    size_t at = sizeof request.head + sizeof target;
    snprintf(request.room + at, sizeof request.room - at, "%s", table);
    if (ioctl(control, DM_TABLE_LOAD, &request) != 0)
        fail("load the table", table);
    prepare(&request, name);
    if (ioctl(control, DM_DEV_SUSPEND, &request) != 0)
        fail("resume the device", name);
    close(control);
}
