/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kind of event of the audit trail. EVENT(code, text, subject, summary)
 *
 * The text never changes once released. subject: what the event's subject names: TOKEN, MODULE,
 * VERSION ("module@version"), ARTIFACT (hex digest), RELEASE, DEVICE (its id), ROLLOUT, SERVER.
 * To add one: add a row; the manual and the tests follow. */
EVENT(SERVER_STARTED, "server.started", SERVER, "fleetd has started")
EVENT(SERVER_CREATED, "server.created", SERVER, "The database was created")
EVENT(AUDIT_PRUNED, "audit.pruned", SERVER, "Old events were pruned; a signed checkpoint stands for them")
EVENT(TOKEN_CREATED, "token.created", TOKEN, "A token was created")
EVENT(TOKEN_REVOKED, "token.revoked", TOKEN, "A token was revoked")
EVENT(MODULE_CREATED, "module.created", MODULE, "A module was created")
EVENT(MODULE_CHANGED, "module.changed", MODULE, "A module's description was changed")
EVENT(MODULE_DELETED, "module.deleted", MODULE, "A module without versions was deleted")
EVENT(VERSION_PUBLISHED, "version.published", VERSION, "A version was published")
EVENT(VERSION_BLOCKED, "version.blocked", VERSION, "A version was blocked")
EVENT(VERSION_UNBLOCKED, "version.unblocked", VERSION, "A version was unblocked")
EVENT(ARTIFACT_STORED, "artifact.stored", ARTIFACT, "An artifact was uploaded")
EVENT(RELEASE_CREATED, "release.created", RELEASE, "A release was created")
EVENT(DEVICES_REGISTERED, "devices.registered", SERVER, "Devices were registered in bulk")
EVENT(DEVICE_ENROLLED, "device.enrolled", DEVICE, "A device enrolled with its key")
EVENT(DEVICE_CHANGED, "device.changed", DEVICE, "A device's labels or gateway were changed")
EVENT(DEVICE_RETIRED, "device.retired", DEVICE, "A device was retired")
EVENT(ROLLOUT_CREATED, "rollout.created", ROLLOUT, "A rollout was created")
EVENT(ROLLOUT_PLANNED, "rollout.planned", ROLLOUT, "A plan was made")
EVENT(ROLLOUT_APPROVED, "rollout.approved", ROLLOUT, "An approver agreed with a plan")
EVENT(ROLLOUT_DENIED, "rollout.denied", ROLLOUT, "An approver denied a plan")
EVENT(ROLLOUT_STATE, "rollout.state", ROLLOUT, "A rollout changed its state")
EVENT(ROLLOUT_VERB, "rollout.verb", ROLLOUT, "An operator acted on a rollout")
EVENT(STAGE_STATE, "stage.state", ROLLOUT, "A stage changed its state")
EVENT(GATE_DECIDED, "gate.decided", ROLLOUT, "A gate was decided")
EVENT(INVARIANT_BROKEN, "invariant.broken", ROLLOUT, "fleetd found a defect of its own and paused")
