/* SPDX-License-Identifier: Apache-2.0
 *
 * Every setting of fleetd.
 * SETTING(type, name, default, min, max, reload, secret, prose)
 *
 * The name is the line in fleetd.conf, the flag --some-name, the variable FLEETD_SOME_NAME and the
 * member of struct settings. Types and units: lib/conf.h. `reload`: SIGHUP takes a new value.
 * To add one: add a row; parser, --show-config, reload and fleetd.conf(5) follow. */
/* ---- where */
SETTING(STRING, data_dir, FLEET_LOCALSTATEDIR "/lib/fleetd", 0, 0, false, false,
	"Folder of the database, the keys and the blobs. One fleetd owns it at a time.")
SETTING(STRING, tenant, "default", 0, 0, false, false,
	"Name of this fleet. Manifests carry it, and devices refuse those of another one.")
SETTING(STRING, listen, "127.0.0.1:8470", 0, 0, false, false,
	"Address and port; [::1]:8470 for IPv6, port 0 for any free one.")
SETTING(STRING, port_file, "", 0, 0, false, false,
	"File that gets the port once the server listens; for port 0.")
SETTING(STRING, web_dir, FLEET_DATADIR "/web", 0, 0, false, false,
	"Folder of the dashboard's files.")

/* ---- transport */
SETTING(STRING, tls_certificate, "", 0, 0, true, false,
	"PEM file with the certificate and its chain. With tls_key it switches HTTPS on.")
SETTING(STRING, tls_key, "", 0, 0, true, false, "PEM file with the certificate's private key.")
SETTING(BOOL, plain_http, "no", 0, 0, false, false,
	"Allow HTTP without TLS on an address that is not loopback, as behind a proxy that does TLS.")
SETTING(INT, loops, "1", 1, 64, false, false,
	"Event loops, each with a thread and a socket of its own. One serves a busy fleet; more help "
	"with TLS on many cores.")
SETTING(INT, connections, "16384", 8, 1000000, false, false,
	"Open connections of all loops together; more are not accepted until one ends.")
SETTING(INT, connections_per_ip, "0", 0, 1000000, false, false,
	"Open connections from one address; 0 is no limit. Mind devices behind one NAT.")
SETTING(DURATION, idle_timeout, "60s", 1000, 86400000, false, false,
	"A connection on which nothing moves is closed after this time.")
SETTING(DURATION, request_deadline, "30s", 100, 3600000, true, false,
	"A request that takes longer is answered with 504. Streams and waits have limits of their own.")
SETTING(DURATION, stop_limit, "10s", 100, 600000, true, false,
	"How long a stop waits for requests in flight.")

/* ---- lanes */
SETTING(INT, readers, "2", 1, 64, false, false,
	"Reader threads, each with a read-only connection to the database.")
SETTING(INT, workers, "2", 1, 64, false, false,
	"Worker threads for hashing, signatures, plans and files.")
SETTING(INT, write_queue, "4096", 16, 1000000, true, false,
	"Requests that may wait for the writer; beyond it the answer is 503.")
SETTING(INT, read_queue, "1024", 16, 1000000, true, false, "Requests that may wait for a reader.")
SETTING(INT, work_queue, "1024", 16, 1000000, true, false, "Requests that may wait for a worker.")
SETTING(INT, batch_max, "512", 1, 4096, true, false,
	"Requests that the writer commits together at most.")

/* ---- database */
SETTING(SIZE, db_cache, "32MiB", 1048576, 68719476736, false, false,
	"Page cache of the writer.")
SETTING(SIZE, db_reader_cache, "8MiB", 1048576, 68719476736, false, false,
	"Page cache of each reader.")
SETTING(SIZE, db_mmap, "0", 0, 68719476736, false, false,
	"Bytes of the database mapped into memory; counts as resident memory.")
SETTING(SIZE, checkpoint_size, "32MiB", 65536, 68719476736, true, false,
	"Size of the write-ahead log at which the writer copies it into the database.")

/* ---- devices */
SETTING(DURATION, poll_interval, "60s", 1000, 86400000, true, false,
	"How often a device asks; told to devices in each session.")
SETTING(DURATION, session_life, "24h", 60000, 2592000000, true, false,
	"How long the session of a device may be used before it makes a new one.")

/* ---- rollouts */
SETTING(INT, max_in_flight, "0", 0, 1000000000, true, false,
	"Devices that may carry out orders of rollouts at the same time, of all rollouts together; 0 is no "
	"limit. Rollouts that want more share these slots by the priority of their strategies (one without a "
	"priority counts as 1): with priorities 3 and 1 the first has three quarters of them. What one does "
	"not use the others may, and no slots are kept for devices that do not ask.")

/* ---- channels */
SETTING(DURATION, channel_interval, "60s", 100, 86400000, true, false,
	"How often each channel looks for devices that do not have its release, and rollouts for devices "
	"that may join.")

/* ---- approval */
SETTING(INT, approvals, "0", 0, 32, true, false,
	"Approvers who must agree with the plan of a rollout before it may start; a rollout's strategy "
	"can ask for more. Applies to rollouts created from then on.")
SETTING(BOOL, approve_own, "no", 0, 0, true, false,
	"Let whoever created a rollout be one of those who approve it.")

/* ---- deltas */
SETTING(SIZE, delta_size, "256MiB", 0, 2147483647, false, false,
	"Artifacts above this size, old or new, travel whole. 0 switches deltas off.")
SETTING(SIZE, delta_cache, "4GiB", 0, 0, false, false,
	"Space for deltas and compressed artifacts; the least recently used ones go first.")
SETTING(DURATION, delta_wait, "4s", 0, 60000, true, false,
	"How long a device waits for a delta that is being built before it gets the full artifact.")
SETTING(INT, delta_builders, "1", 1, 64, false, false,
	"Deltas built at the same time for devices that wait, each in a process of its own.")
SETTING(INT, delta_background, "1", 0, 64, false, false,
	"Builds of smaller deltas at the same time, with the lowest priority, for later downloads. 0: none.")
SETTING(INT, delta_share, "100", 1, 100, false, false,
	"Percent of a core that one build in the background may take.")
SETTING(INT, delta_queue, "256", 1, 100000, false, false,
	"Deltas that may wait to be built for devices; beyond it they get the full artifact.")
SETTING(SIZE, delta_memory, "1GiB", 16777216, 0, false, false,
	"Memory of one build; a build that needs more is given up.")
SETTING(DURATION, delta_cpu, "60s", 1000, 86400000, false, false,
	"Processor time of one build, in whole seconds.")
SETTING(DURATION, delta_time, "120s", 1000, 86400000, false, false,
	"Wall clock of a build that devices wait for. In the background it is ten times as long, longer still "
	"with a smaller delta_share.")

/* ---- webhooks */
SETTING(BOOL, webhook_http, "no", 0, 0, true, false, "Allow webhooks to addresses without TLS.")
SETTING(BOOL, webhook_private, "no", 0, 0, true, false,
	"Allow webhooks to loopback, link-local and private addresses. Whoever may create webhooks can then "
	"make fleetd talk to hosts that only it can reach.")
SETTING(STRING, webhook_ca, "", 0, 0, true, false,
	"PEM file of the authorities that targets' certificates are checked against; empty: the system's.")
SETTING(DURATION, webhook_timeout, "10s", 100, 300000, true, false,
	"How long a target may take to answer.")
SETTING(DURATION, webhook_give_up, "24h", 1000, 2592000000, true, false,
	"An event that is older than this and still not taken is dead.")

/* ---- log */
SETTING(STRING, log_level, "info", 0, 0, true, false, "error, warning, info or debug.")
SETTING(STRING, log_format, "text", 0, 0, true, false, "text (key=value) or json.")
