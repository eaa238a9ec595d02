/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells the service manager how far we are (sd_notify's protocol: a datagram to $NOTIFY_SOCKET). */
#ifndef NOTIFY_H
#define NOTIFY_H

/* The server answers. Nothing happens without a service manager. */
void notify_ready(void);
/* The server has begun to stop. */
void notify_stopping(void);

#endif
