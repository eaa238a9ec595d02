/* SPDX-License-Identifier: Apache-2.0
 *
 * A device as the management API shows it. */
#ifndef API_DEVICE_JSON_H
#define API_DEVICE_JSON_H

#include "server/http/request.h"
#include "server/store/device.h"

/* What a page of devices shares. Zeroed but for `rq`. */
struct device_json {
	struct request *rq; /* READ or WRITE */
	json_t *states;     /* installed sets seen so far, by number; owned */
	json_t *gateways;   /* ids of gateways seen so far, by number; owned */
};

/* Free what `j` owns. Safe twice. */
void device_json_fini(struct device_json *j);
/* A wide device; *out is a new reference. */
enum fl_code device_json_of(struct device_json *j, const struct device *d, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;
/* The same with its newest steps, and the strong tag over what an operator can change (without
 * quotes, 17 bytes). */
enum fl_code device_json_full(struct device_json *j, const struct device *d, json_t **out,
	struct fl_err *err) FL_MUST_CHECK;
void device_json_etag(const struct device *d, char out[17]);

#endif
