/* SPDX-License-Identifier: Apache-2.0
 *
 * Every setting of fleet-agent.
 * SETTING(type, name, default, min, max, reload, secret, prose)
 *
 * The name is the line in fleet-agent.conf, the flag --some-name, the variable FLEET_AGENT_SOME_NAME
 * and the member of struct settings. Types and units: lib/conf.h. To add one: add a row. */
/* ---- the server */
SETTING(STRING, server, "", 0, 0, false, false,
	"Address of fleetd, https://HOST[:PORT]; plain http:// is for tests and closed networks.")
SETTING(STRING, ca_file, "", 0, 0, false, false,
	"PEM file with the certificates that the server's must come from; empty: the system's.")
SETTING(STRING, tenant, "default", 0, 0, false, false,
	"Name of the fleet; manifests of another one are refused.")
SETTING(DURATION, poll_interval, "0ms", 0, 86400000, false, false,
	"Time between two polls; 0 is what the server says.")
SETTING(DURATION, connect_timeout, "10s", 100, 600000, false, false,
	"How long a connection may take to come about.")
SETTING(DURATION, stall_timeout, "60s", 1000, 3600000, false, false,
	"A transfer on which nothing moves is given up after this time, and resumed later.")
SETTING(DURATION, backoff_max, "5min", 100, 86400000, false, false,
	"Longest wait between two attempts to reach the server; it starts at a second and doubles.")

/* ---- the device */
SETTING(STRING, device, "", 0, 0, false, false, "This device's id; empty: the host name.")
SETTING(STRING, tier, "device", 0, 0, false, false, "device or gateway.")
SETTING(STRING, gateway, "", 0, 0, false, false, "Id of the gateway that it sits behind.")
SETTING(STRING, token_file, "", 0, 0, false, false,
	"File with the enrolment token; needed until the server knows the device.")
SETTING(STRING, attributes, "", 0, 0, false, false,
	"What selectors may ask for, as name=value,name=value.")
SETTING(STRING, attributes_command, "", 0, 0, false, false,
	"Shell command that prints more attributes, one name=value a line; run before each session.")
SETTING(STRING, factory, "", 0, 0, false, false,
	"What the device left the factory with, as module=version,module=version.")

/* ---- where */
SETTING(STRING, state_dir, FLEET_LOCALSTATEDIR "/lib/fleet-agent", 0, 0, false, false,
	"Folder of the key, the record and the downloads; one agent owns it at a time.")
SETTING(STRING, install_dir, FLEET_LOCALSTATEDIR "/lib/fleet", 0, 0, false, false,
	"Folder of the modules; what runs is under current/MODULE.")
SETTING(SIZE, reserve, "16MiB", 0, 0, false, false,
	"Space on the disk that downloads must leave free.")
SETTING(SIZE, memory, "256MiB", 1048576, 0, false, false,
	"Memory that decoding a patch may take; the server picks the encoding by it.")

/* ---- may it? */
SETTING(STRING, switch_window, "", 0, 0, false, false,
	"When the device may switch, in its own time, as Mo-Fr 22:00-05:00, Sa,Su 00:00-24:00; "
	"empty: always. Neither downloads wait for it, nor the way back from a version that fails.")
SETTING(STRING, ready_command, "", 0, 0, false, false,
	"Shell command asked before a download (FLEET_STATE is downloading) and before a switch "
	"(installing): exit status 0 goes on, another one waits. The last line that it prints says "
	"for what; its first word may be consent, network, battery or window. Empty: always ready.")
SETTING(DURATION, ready_interval, "30s", 10, 86400000, false, false,
	"Time between two looks at what an order waits for.")

/* ---- is it well? */
SETTING(STRING, switch_command, "", 0, 0, false, false,
	"Shell command after each switch, forward and back: restart what uses the modules.")
SETTING(STRING, health_command, "", 0, 0, false, false,
	"Shell command that says whether the device is well: exit status 0. Empty: it always is.")
SETTING(DURATION, command_timeout, "60s", 100, 3600000, false, false,
	"A command that runs longer is killed with all that it started; it counts as failed.")
SETTING(DURATION, health_interval, "10s", 10, 3600000, false, false,
	"Time between two health commands during the probation.")
SETTING(DURATION, probation, "30s", 0, 86400000, false, false,
	"How long a new generation is watched where the order does not say it.")
SETTING(INT, restarts, "3", 0, 100, false, false,
	"Starts of the agent during one trial, as by a watchdog, before the trial counts as failed.")

/* ---- log */
SETTING(STRING, log_level, "info", 0, 0, false, false, "error, warning, info or debug.")
SETTING(STRING, log_format, "text", 0, 0, false, false, "text (key=value) or json.")
