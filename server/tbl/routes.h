/* SPDX-License-Identifier: Apache-2.0
 *
 * Every address that fleetd answers; nothing is handled outside of this table.
 * ROUTE(method, path, who, body limit, lane, handler, summary)
 *
 * who: enum who bits of http/request.h, any of them suffices. body limit in bytes, 0: no body.
 * From the rows: prototypes, dispatch, 404, 405 with Allow, OPTIONS, body limits, authorisation
 * before the handler, metrics labels, fleetd(8), and the test that walks them all. */
#define KIB 1024LL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define ROLE_READ   WHO_ANY_ROLE
#define ROLE_PUBLISH (WHO_PUBLISHER | WHO_ADMIN)
#define ROLE_OPERATE (WHO_OPERATOR | WHO_ADMIN)
#define ROLE_APPROVE (WHO_APPROVER | WHO_ADMIN)

/* ---- health and figures */
ROUTE(GET, "/healthz", WHO_ANYONE, 0, FAST, api_healthz, "The process runs")
ROUTE(GET, "/readyz", WHO_ANYONE, 0, FAST, api_readyz, "The server can take work now")
ROUTE(GET, "/metrics", ROLE_READ, 0, WORK, api_metrics, "Figures for Prometheus")
ROUTE(GET, "/api/v1/server", ROLE_READ, 0, FAST, api_server_get, "Version, tenant, keys and limits of this server")

/* ---- tokens */
ROUTE(GET, "/api/v1/tokens", WHO_ADMIN, 0, READ, api_tokens_list, "List tokens, never their secrets")
ROUTE(POST, "/api/v1/tokens", WHO_ADMIN, 16 * KIB, WRITE, api_token_create, "Create a token; its secret is shown once")
ROUTE(DELETE, "/api/v1/tokens/{token}", WHO_ADMIN, 0, WRITE, api_token_revoke, "Revoke a token")
ROUTE(GET, "/api/v1/whoami", ROLE_READ | WHO_ENROLLER, 0, FAST, api_whoami, "What the presented token may do")

/* ---- registry */
ROUTE(GET, "/api/v1/modules", ROLE_READ, 0, READ, api_modules_list, "List modules")
ROUTE(GET, "/api/v1/modules/{module}", ROLE_READ, 0, READ, api_module_get, "One module")
ROUTE(PUT, "/api/v1/modules/{module}", ROLE_PUBLISH, 64 * KIB, WRITE, api_module_put, "Create a module or change its description")
ROUTE(DELETE, "/api/v1/modules/{module}", ROLE_PUBLISH, 0, WRITE, api_module_delete, "Delete a module without versions")
ROUTE(GET, "/api/v1/modules/{module}/versions", ROLE_READ, 0, READ, api_versions_list, "List a module's versions")
ROUTE(GET, "/api/v1/modules/{module}/versions/{version}", ROLE_READ, 0, READ, api_version_get, "One version")
ROUTE(PUT, "/api/v1/modules/{module}/versions/{version}", ROLE_PUBLISH, 256 * KIB, WRITE, api_version_put, "Publish a version; the same again changes nothing")
ROUTE(POST, "/api/v1/modules/{module}/versions/{version}/block", ROLE_OPERATE, 16 * KIB, WRITE, api_version_block, "Block or unblock a version")
ROUTE(GET, "/api/v1/artifacts/{sha256}", ROLE_READ, 0, READ, api_artifact_get, "Size and use of an artifact")
ROUTE(PUT, "/api/v1/artifacts/{sha256}", ROLE_PUBLISH, 4 * GIB, STREAM, api_artifact_put, "Upload an artifact by its digest; resumes with Content-Range")
ROUTE(GET, "/api/v1/releases", ROLE_READ, 0, READ, api_releases_list, "List releases")
ROUTE(GET, "/api/v1/releases/{release}", ROLE_READ, 0, READ, api_release_get, "One release with its entries")
ROUTE(PUT, "/api/v1/releases/{release}", ROLE_PUBLISH, 256 * KIB, WRITE, api_release_put, "Create a release; the same again changes nothing")
ROUTE(GET, "/api/v1/devices", ROLE_READ, 0, READ, api_devices_list, "List devices; q takes RSQL")
ROUTE(POST, "/api/v1/devices", ROLE_OPERATE, 4 * GIB, STREAM, api_devices_bulk, "Register or change many devices (NDJSON)")
ROUTE(GET, "/api/v1/devices/{device}", ROLE_READ, 0, READ, api_device_get, "One device with what it has and what it shall have")
ROUTE(PATCH, "/api/v1/devices/{device}", ROLE_OPERATE, 64 * KIB, WRITE, api_device_patch, "Change labels or gateway")
ROUTE(DELETE, "/api/v1/devices/{device}", ROLE_OPERATE, 0, WRITE, api_device_retire, "Retire a device")
ROUTE(GET, "/api/v1/devices/{device}/explain", ROLE_READ, 0, READ, api_device_explain, "Why it is offered what it is offered, or nothing")
ROUTE(GET, "/api/v1/devices/{device}/reports", ROLE_READ, 0, READ, api_device_reports, "What the device reported")

/* ---- rollouts */
ROUTE(POST, "/api/v1/plans", ROLE_OPERATE, 64 * KIB, READ, api_plan_preview, "Plan without keeping it")
ROUTE(GET, "/api/v1/plans/{plan}", ROLE_READ, 0, READ, api_plan_get, "A plan by its id, its digest or its rollout")
ROUTE(GET, "/api/v1/plans/{plan}/devices", ROLE_READ, 0, READ, api_plan_devices, "Who takes part, in which wave")
ROUTE(GET, "/api/v1/plans/{plan}/diff/{other}", ROLE_READ, 0, READ, api_plan_diff, "What two plans do differently")
ROUTE(POST, "/api/v1/simulations", ROLE_OPERATE, 64 * KIB, READ, api_simulation, "Strategies side by side on a virtual clock")
ROUTE(GET, "/api/v1/rollouts", ROLE_READ, 0, READ, api_rollouts_list, "List rollouts")
ROUTE(GET, "/api/v1/rollouts/{rollout}", ROLE_READ, 0, READ, api_rollout_get, "One rollout with its state")
ROUTE(PUT, "/api/v1/rollouts/{rollout}", ROLE_OPERATE, 64 * KIB, WRITE, api_rollout_put, "Create a rollout; planning begins")
ROUTE(GET, "/api/v1/rollouts/{rollout}/plan", ROLE_READ, 0, READ, api_rollout_plan, "Its plan: layers, waves, stages, forecast, refusals")
ROUTE(GET, "/api/v1/rollouts/{rollout}/stats", ROLE_READ, 0, READ, api_rollout_stats, "Figures per stage and per wave; may wait for a change")
ROUTE(GET, "/api/v1/rollouts/{rollout}/stages/{layer}/{wave}/explain", ROLE_READ, 0, READ, api_stage_explain, "Why a stage is where it is and what it waits for")
ROUTE(GET, "/api/v1/rollouts/{rollout}/steps", ROLE_READ, 0, READ, api_rollout_steps, "Steps of devices, by stage and state")
ROUTE(GET, "/api/v1/rollouts/{rollout}/decisions", ROLE_READ, 0, READ, api_rollout_decisions, "What its gates decided, with the numbers")
ROUTE(GET, "/api/v1/rollouts/{rollout}/strata", ROLE_READ, 0, READ, api_rollout_strata, "Outcomes by stratum, and which are held")
ROUTE(POST, "/api/v1/rollouts/{rollout}/release", ROLE_OPERATE, 16 * KIB, WRITE, api_rollout_stratum_release, "Release a held stratum")
ROUTE(POST, "/api/v1/rollouts/{rollout}/approve", ROLE_APPROVE, 16 * KIB, WRITE, api_rollout_approve, "Agree with its plan")
ROUTE(POST, "/api/v1/rollouts/{rollout}/deny", ROLE_APPROVE, 16 * KIB, WRITE, api_rollout_deny, "Disagree with its plan: it never starts")
ROUTE(POST, "/api/v1/rollouts/{rollout}/{verb}", ROLE_OPERATE, 16 * KIB, WRITE, api_rollout_verb, "start, pause, resume, promote, verdict, stop, rollback, retry")

/* ---- channels */
ROUTE(GET, "/api/v1/channels", ROLE_READ, 0, READ, api_channels_list, "List channels")
ROUTE(GET, "/api/v1/channels/{channel}", ROLE_READ, 0, READ, api_channel_get, "One channel and what its devices have")
ROUTE(PUT, "/api/v1/channels/{channel}", ROLE_OPERATE, 16 * KIB, READ, api_channel_put, "Create a channel or change it")
ROUTE(DELETE, "/api/v1/channels/{channel}", ROLE_OPERATE, 0, WRITE, api_channel_delete, "Delete a channel; its devices stay as they are")
ROUTE(POST, "/api/v1/channels/{channel}/{verb}", ROLE_OPERATE, 0, WRITE, api_channel_verb, "pause, resume")

/* ---- events */
ROUTE(GET, "/api/v1/events", ROLE_READ, 0, READ, api_events, "The audit trail; as a stream with Accept: text/event-stream")
ROUTE(GET, "/api/v1/audit/head", ROLE_READ, 0, READ, api_audit_head, "Where the audit trail stands, signed; its newest checkpoint and the key")
ROUTE(POST, "/api/v1/audit/prune", WHO_ADMIN, 16 * KIB, WRITE, api_audit_prune, "Prune old events; a signed checkpoint stands for them")

/* ---- freezes */
ROUTE(GET, "/api/v1/freezes", ROLE_READ, 0, READ, api_freezes_list, "List freezes, lifted ones too")
ROUTE(PUT, "/api/v1/freezes/{freeze}", ROLE_OPERATE, 16 * KIB, WRITE, api_freeze_put, "Deliver nothing to the devices of a selector, from now or a time on until another")
ROUTE(DELETE, "/api/v1/freezes/{freeze}", ROLE_OPERATE, 0, WRITE, api_freeze_lift, "Lift a freeze")

/* ---- webhooks */
ROUTE(GET, "/api/v1/webhooks", ROLE_OPERATE, 0, READ, api_webhooks_list, "List webhooks, never their secrets")
ROUTE(GET, "/api/v1/webhooks/{webhook}", ROLE_OPERATE, 0, READ, api_webhook_get, "One webhook and how it fares")
ROUTE(PUT, "/api/v1/webhooks/{webhook}", WHO_ADMIN, 16 * KIB, WRITE, api_webhook_put, "Create a webhook (its secret is shown once) or change it")
ROUTE(DELETE, "/api/v1/webhooks/{webhook}", WHO_ADMIN, 0, WRITE, api_webhook_delete, "Delete a webhook")
ROUTE(GET, "/api/v1/webhooks/{webhook}/deliveries", ROLE_OPERATE, 0, READ, api_webhook_deliveries, "What came of its events, newest first")
ROUTE(POST, "/api/v1/webhooks/{webhook}/{verb}", WHO_ADMIN, 16 * KIB, WRITE, api_webhook_verb, "test, rotate (a new secret), replay (events again from a number)")

/* ---- deltas */
ROUTE(GET, "/api/v1/deltas", ROLE_READ, 0, READ, api_deltas_list, "Deltas, their sizes and savings")
ROUTE(GET, "/api/v1/deltas/queue", ROLE_READ, 0, READ, api_deltas_queue, "What is being built or waits, with its reasons")
ROUTE(GET, "/api/v1/deltas/stats", ROLE_READ, 0, READ, api_deltas_stats, "Costs and savings, by codec; the cache")
ROUTE(POST, "/api/v1/deltas/warm", ROLE_OPERATE, 16 * KIB, READ, api_deltas_warm, "Have deltas built before devices ask")

/* ---- bytes */
ROUTE(GET, "/blobs/sha256/{sha256}", WHO_ANYONE, 0, WORK, device_blob_get, "Immutable bytes by digest; ranges")

/* ---- devices' own protocol */
ROUTE(POST, "/device/v1/enrol", WHO_ENROLLER, 64 * KIB, WORK, device_enrolment, "A device registers itself")
ROUTE(POST, "/device/v1/session", WHO_DEVICE_KEY, 16 * KIB, FAST, device_session, "Handshake: a session key, sealed to the device")
ROUTE(GET, "/device/v1/poll", WHO_DEVICE, 0, FAST, device_poll, "Anything new? 204 or the manifest")
ROUTE(PUT, "/device/v1/inventory", WHO_DEVICE, 64 * KIB, WRITE, device_inventory, "Attributes and installed versions")
ROUTE(POST, "/device/v1/report", WHO_DEVICE, 64 * KIB, FAST, device_report, "Progress or the end of a step")
ROUTE(GET, "/device/v1/artifacts/{sha256}", WHO_DEVICE, 0, READ, device_artifact, "The cheapest way to get an artifact from what the device has")

/* ---- dashboard */
ROUTE(GET, "/", WHO_ANYONE, 0, WORK, web_index, "The dashboard")
ROUTE(GET, "/assets/{file}", WHO_ANYONE, 0, WORK, web_asset, "Its files, with hashed names")
