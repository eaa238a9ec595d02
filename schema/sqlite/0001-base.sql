-- SPDX-License-Identifier: Apache-2.0
-- 0001: the base. Each table says whether it is content (must migrate) or derived (may be dropped
-- and rebuilt). Times are milliseconds since 1970 (UTC). Numbers named *_id are keys inside of this
-- database only; the outside knows names.

-- content: facts about this database: tenant, uuid, created_at
CREATE TABLE instance (
  key TEXT PRIMARY KEY, value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- content: bearer tokens of people, pipelines and enrolment; the secret is stored hashed
CREATE TABLE token (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,                -- BLAKE2b-256 of the secret
  roles INTEGER NOT NULL,            -- enum who bits
  selector TEXT,                     -- RSQL over devices: all that the token sees; NULL: everything
  uses_left INTEGER,                 -- of an enrolment token; NULL: no limit
  labels TEXT,                       -- JSON object given to devices that enrol with it
  expires_at INTEGER,                -- NULL: never
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
  revoked_at INTEGER
) STRICT;

-- content: named units of software
CREATE TABLE module (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,                -- wasm, container, firmware, file
  tier TEXT NOT NULL,                -- device, gateway
  description TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
) STRICT;

-- content: content-addressed bytes that are on disk as a blob
CREATE TABLE artifact (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- content: versions of modules
CREATE TABLE version (
  id INTEGER PRIMARY KEY,
  module_id INTEGER NOT NULL REFERENCES module(id),
  version TEXT NOT NULL,             -- semver, build metadata included
  downgrade INTEGER NOT NULL DEFAULT 1, -- 0: no way back below this one
  floor INTEGER NOT NULL DEFAULT 0,  -- 1: must be passed through
  blocked_at INTEGER, blocked_why TEXT,
  notes TEXT NOT NULL DEFAULT '',
  digest BLOB NOT NULL,              -- of the canonical publication; the same again changes nothing
  signature TEXT,                    -- the publisher's envelope, JSON
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
  UNIQUE (module_id, version)
) STRICT;

-- content: a version's artifacts; the first whose selector matches the device is taken
CREATE TABLE variant (
  version_id INTEGER NOT NULL REFERENCES version(id),
  ordinal INTEGER NOT NULL,
  selector TEXT,                     -- RSQL over attributes; NULL: every device
  artifact_id INTEGER REFERENCES artifact(id), -- NULL: declared without bytes
  PRIMARY KEY (version_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX variant_by_artifact ON variant(artifact_id);

-- content: what a version requires of other modules, on the same device or on its gateway
CREATE TABLE requirement (
  version_id INTEGER NOT NULL REFERENCES version(id),
  module TEXT NOT NULL,              -- by name: it may come later
  range TEXT NOT NULL,
  PRIMARY KEY (version_id, module)
) STRICT, WITHOUT ROWID;

-- content: what a version needs of the device itself: runtime, memory, capabilities
CREATE TABLE need (
  version_id INTEGER NOT NULL REFERENCES version(id),
  attribute TEXT NOT NULL,           -- of the device
  range TEXT NOT NULL,               -- semver range, ">=N" for numbers, or a word that must be there
  PRIMARY KEY (version_id, attribute)
) STRICT, WITHOUT ROWID;

-- content: named sets of module versions
CREATE TABLE release (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  notes TEXT NOT NULL DEFAULT '',
  digest BLOB NOT NULL,
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL
) STRICT;
CREATE TABLE release_entry (
  release_id INTEGER NOT NULL REFERENCES release(id),
  module_id INTEGER NOT NULL REFERENCES module(id),
  version_id INTEGER REFERENCES version(id), -- NULL with action absent
  action TEXT NOT NULL,              -- update, install, absent
  PRIMARY KEY (release_id, module_id)
) STRICT, WITHOUT ROWID;

-- content: interned sets of installed versions; id 1 is the empty set
CREATE TABLE state (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE        -- SHA-256 of the sorted "module@version\n" lines
) STRICT;
CREATE TABLE state_entry (
  state_id INTEGER NOT NULL REFERENCES state(id),
  module TEXT NOT NULL,              -- by name: devices may run what was never published here
  version TEXT NOT NULL,
  PRIMARY KEY (state_id, module)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_entry_by_module ON state_entry(module, version);

-- content: devices; narrow, since a million of them are read at start
CREATE TABLE device (
  no INTEGER PRIMARY KEY,            -- dense; the outside knows the id
  id TEXT NOT NULL UNIQUE,
  tier TEXT NOT NULL DEFAULT 'device',
  gateway_no INTEGER REFERENCES device(no),
  state_id INTEGER NOT NULL REFERENCES state(id),
  manifest INTEGER NOT NULL DEFAULT 0, -- number of the newest manifest; only rises
  epoch INTEGER NOT NULL DEFAULT 0,  -- sessions older than this are void
  last_seen INTEGER NOT NULL DEFAULT 0, -- seconds; flushed in bulk, minutes may be lost
  retired_at INTEGER
) STRICT;
CREATE INDEX device_by_gateway ON device(gateway_no) WHERE gateway_no IS NOT NULL;

-- content: the wide part of a device
CREATE TABLE device_profile (
  device_no INTEGER PRIMARY KEY REFERENCES device(no),
  public_key BLOB,                   -- Ed25519; NULL: registered in bulk, not enrolled yet
  attributes TEXT NOT NULL DEFAULT '{}', -- JSON object; the device reports them
  labels TEXT NOT NULL DEFAULT '{}', -- JSON object; operators set them
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

-- content: interned contents of manifests: the module list with artifacts, as JSON
CREATE TABLE goal (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  content TEXT NOT NULL
) STRICT;

-- content: the newest manifest of each device; signed anew from this whenever it is sent
CREATE TABLE manifest (
  device_no INTEGER PRIMARY KEY REFERENCES device(no),
  number INTEGER NOT NULL,
  goal_id INTEGER NOT NULL REFERENCES goal(id),
  stage_id INTEGER,                  -- whose step it carries out
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;

-- content: which release devices shall have when no rollout holds them
CREATE TABLE channel (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  selector TEXT NOT NULL,            -- RSQL; '' is every device
  release_id INTEGER REFERENCES release(id), -- NULL: none yet
  previous_release_id INTEGER REFERENCES release(id), -- before the last rollout moved it
  max_in_flight INTEGER NOT NULL,    -- devices that are brought up to it at the same time
  error_ppm INTEGER NOT NULL, error_minimum INTEGER NOT NULL, -- its own threshold
  retries INTEGER NOT NULL,          -- a device that fails oftener is left alone
  state TEXT NOT NULL,               -- on, paused, halted
  reason TEXT NOT NULL DEFAULT '',   -- why it is halted
  made INTEGER NOT NULL DEFAULT 0,   -- rollouts that it has made
  since_rollout INTEGER NOT NULL DEFAULT 0, -- failures of rollouts up to this one are forgiven
  look TEXT NOT NULL DEFAULT '{}',   -- JSON: what the last look at its devices found
  looked_at INTEGER NOT NULL DEFAULT 0, -- 0: never
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL
) STRICT;

-- content: campaigns
CREATE TABLE rollout (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  release_id INTEGER NOT NULL REFERENCES release(id),
  selector TEXT NOT NULL,            -- RSQL; '' is every device
  strategy TEXT NOT NULL,            -- JSON
  priority INTEGER NOT NULL DEFAULT 0, -- of the strategy
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',   -- why it is paused, stopped or failed
  auto_start INTEGER NOT NULL DEFAULT 0, -- 1: starts as soon as it is planned
  channel_id INTEGER REFERENCES channel(id), -- the one that it moves when it is completed, or
  joins INTEGER NOT NULL DEFAULT 0,  -- 1: devices that are new since its plan may join it
  brings INTEGER NOT NULL DEFAULT 0, -- 1: that has made it, to bring devices up to its release
  resume_to TEXT NOT NULL DEFAULT 'running', -- where a paused one goes on
  pause INTEGER NOT NULL DEFAULT 0,  -- enum engine_pause
  back_wave INTEGER NOT NULL DEFAULT -1, -- what a rollback takes back; -1: every wave
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
  start_at INTEGER NOT NULL DEFAULT 0, -- it is to start then; 0: when it is told to
  start_anyway INTEGER NOT NULL DEFAULT 0, -- 1: then, however many devices have changed by then
  started_at INTEGER NOT NULL DEFAULT 0, ended_at INTEGER NOT NULL DEFAULT 0, -- 0: not yet
  paused_at INTEGER NOT NULL DEFAULT 0, -- its clock stands still since; 0: it runs
  stood_ms INTEGER NOT NULL DEFAULT 0,  -- how long its clock has stood still in all
  clock_floor INTEGER NOT NULL DEFAULT 0 -- its clock never shows less
) STRICT;
CREATE INDEX rollout_to_start ON rollout(start_at) WHERE state = 'scheduled';
CREATE INDEX rollout_under_way ON rollout(id) WHERE started_at <> 0 AND ended_at = 0;

CREATE INDEX rollout_by_channel ON rollout(channel_id, id) WHERE channel_id IS NOT NULL;

-- content: the immutable plan of a rollout
CREATE TABLE plan (
  rollout_id INTEGER PRIMARY KEY REFERENCES rollout(id),
  digest BLOB NOT NULL,
  content TEXT NOT NULL,             -- JSON: layers, waves, stages, classes, forecast, refusals
  newest_no INTEGER NOT NULL,        -- the newest device when it was made; later ones are joiners
  created_at INTEGER NOT NULL
) STRICT;

-- content: who agreed or disagreed with a plan
CREATE TABLE approval (
  rollout_id INTEGER NOT NULL REFERENCES rollout(id),
  actor TEXT NOT NULL,               -- name of the token
  agrees INTEGER NOT NULL,           -- 0: denied
  digest BLOB NOT NULL,              -- of the plan that was looked at
  why TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL,
  PRIMARY KEY (rollout_id, actor)
) STRICT, WITHOUT ROWID;

-- content: one cell (layer, wave) with its sums, which are kept, never counted. Deadlines and soak are
-- times of the rollout's own clock (wall clock minus the time that it stood still); 0: none
CREATE TABLE stage (
  id INTEGER PRIMARY KEY,
  rollout_id INTEGER NOT NULL REFERENCES rollout(id),
  layer INTEGER NOT NULL, wave INTEGER NOT NULL,
  assigned INTEGER NOT NULL,         -- devices of the wave
  expected INTEGER NOT NULL,         -- those of them that the plan has for this layer
  state TEXT NOT NULL,
  jobs INTEGER NOT NULL DEFAULT 0,   -- outstanding mass effects, bits of enum engine_job
  follow INTEGER NOT NULL DEFAULT 0, -- 1: a later layer of this wave is open
  cancel_in_flight INTEGER NOT NULL DEFAULT 0,
  retry_causes INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, -- last place given in the order of delivery
  counted_delivered INTEGER NOT NULL DEFAULT 0, -- the same when the sums were brought up to date
  in_flight INTEGER NOT NULL DEFAULT 0, -- devices between delivery and end, never too few
  minute BLOB NOT NULL DEFAULT x'',  -- offers of the last minute, struct pace_minute
  gate_tally BLOB NOT NULL DEFAULT x'', -- outcomes that the gate has taken, gate.h
  gate_decision INTEGER NOT NULL DEFAULT 0, -- enum gate_decision
  gate_text TEXT NOT NULL DEFAULT '',  -- the last decision with its numbers
  verdict INTEGER NOT NULL DEFAULT 0, -- of somebody outside, enum gate_verdict
  verdict_said TEXT NOT NULL DEFAULT '', -- who gave it and why
  verdict_at INTEGER NOT NULL DEFAULT 0, -- there must be one; the rollout's own clock
  back_place INTEGER NOT NULL DEFAULT 0, -- last place given before it was taken back
  back_ok INTEGER NOT NULL DEFAULT 0, back_failed INTEGER NOT NULL DEFAULT 0, -- looked past by a resume
  reach_at INTEGER NOT NULL DEFAULT 0, -- the stage's deadline
  soak_until INTEGER NOT NULL DEFAULT 0,
  reach_since INTEGER NOT NULL DEFAULT 0, reach_since_at INTEGER NOT NULL DEFAULT 0, -- when both
  soak_since INTEGER NOT NULL DEFAULT 0, soak_since_at INTEGER NOT NULL DEFAULT 0, -- began: clock, wall
  due_at INTEGER,                    -- the first deadline of the stage and of its steps
  opens_at INTEGER,                  -- a window opens then that devices of it wait for; wall clock
  opened_at INTEGER NOT NULL DEFAULT 0, ended_at INTEGER NOT NULL DEFAULT 0, -- wall clock
  sums BLOB NOT NULL DEFAULT x'',    -- figures.h
  UNIQUE (rollout_id, wave, layer)
) STRICT;
CREATE INDEX stage_by_due ON stage(due_at) WHERE due_at IS NOT NULL;
CREATE INDEX stage_in_flight ON stage(rollout_id, in_flight) WHERE in_flight > 0;
CREATE INDEX stage_by_opens ON stage(opens_at) WHERE opens_at IS NOT NULL;

-- content: outcomes of a rollout by stratum, where its strategy watches them
CREATE TABLE stratum (
  rollout_id INTEGER NOT NULL REFERENCES rollout(id),
  field TEXT NOT NULL,               -- attribute.NAME, label.NAME, gateway
  value TEXT NOT NULL,
  successes INTEGER NOT NULL, failures INTEGER NOT NULL,
  why TEXT NOT NULL DEFAULT '',      -- it is, or was, held
  held_at INTEGER NOT NULL DEFAULT 0, released_at INTEGER NOT NULL DEFAULT 0, -- 0: not
  PRIMARY KEY (rollout_id, field, value)
) STRICT, WITHOUT ROWID;

-- content: every decision of a gate with the numbers that led to it
CREATE TABLE decision (
  id INTEGER PRIMARY KEY,
  stage_id INTEGER NOT NULL REFERENCES stage(id),
  at INTEGER NOT NULL,
  state TEXT NOT NULL,               -- of the stage after it: succeeded, failed, inconclusive
  text TEXT NOT NULL,
  numbers TEXT NOT NULL              -- JSON: counts, and the vote of each kind of gate
) STRICT;
CREATE INDEX decision_by_stage ON decision(stage_id, id);

-- content: the devices that a rollout updates: up to 1024 of one wave in a row, ascending. Each is
-- twelve bytes, little-endian: number less first_no, class (index into the plan's classes), state_id
-- (what it had)
CREATE TABLE assignment (
  rollout_id INTEGER NOT NULL REFERENCES rollout(id),
  wave INTEGER NOT NULL,
  first_no INTEGER NOT NULL,         -- number of the first device
  n INTEGER NOT NULL,
  members BLOB NOT NULL,
  joined_at INTEGER NOT NULL DEFAULT 0, -- when it joined, beside the plan; 0: by the plan
  PRIMARY KEY (rollout_id, wave, first_no)
) STRICT;

-- content: one device in one stage; rows are made when the stage opens
CREATE TABLE step (
  stage_id INTEGER NOT NULL REFERENCES stage(id),
  device_no INTEGER NOT NULL,
  class INTEGER NOT NULL,            -- index into the plan's classes
  state INTEGER NOT NULL,            -- enum step_state
  back INTEGER NOT NULL DEFAULT 0,   -- 1: its way is back
  flags INTEGER NOT NULL DEFAULT 0,  -- bits of enum engine_flag
  outcome INTEGER NOT NULL DEFAULT 0, -- of the last attempt, enum step_state; 0: none yet
  cause INTEGER NOT NULL DEFAULT 0,  -- enum step_cause
  attempt INTEGER NOT NULL DEFAULT 1,
  delivered INTEGER,                 -- place in the stage's order of delivery, from 1
  delivered_at INTEGER NOT NULL DEFAULT 0, -- wall clock
  deadline INTEGER,                  -- of the installation, on the rollout's clock
  manifest INTEGER NOT NULL DEFAULT 0, -- number of the manifest that carries it out
  changed_at INTEGER NOT NULL,
  took_ms INTEGER NOT NULL DEFAULT 0, -- delivery to confirmed, on the rollout's clock
  sent INTEGER NOT NULL DEFAULT 0, saved INTEGER NOT NULL DEFAULT 0, -- bytes
  retry_at INTEGER NOT NULL DEFAULT 0, -- not offered before, on the rollout's clock
  had INTEGER NOT NULL DEFAULT 0,    -- state_id that the device had when it was delivered; 0: never
  since INTEGER NOT NULL DEFAULT 0, since_at INTEGER NOT NULL DEFAULT 0, -- the time that ends with the
                                     -- deadline began: the rollout's clock, wall clock
  PRIMARY KEY (stage_id, device_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_by_device ON step(device_no, stage_id);
CREATE INDEX step_by_delivery ON step(stage_id, delivered) WHERE delivered IS NOT NULL;
CREATE INDEX step_by_deadline ON step(stage_id, deadline) WHERE deadline IS NOT NULL;

-- content: what devices reported, as it came
CREATE TABLE report (
  id INTEGER PRIMARY KEY,
  device_no INTEGER NOT NULL,
  stage_id INTEGER,
  at INTEGER NOT NULL,
  state TEXT NOT NULL,
  cause TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX report_by_device ON report(device_no, id);

-- content: work in slices; after a crash it goes on from the cursor
CREATE TABLE job (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  subject INTEGER NOT NULL,          -- rollout or stage
  cursor INTEGER NOT NULL DEFAULT 0,
  argument TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL,
  UNIQUE (kind, subject)
) STRICT;

-- content: the audit trail, chained by hash in commit order
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,                -- a row of tbl/events.h
  subject TEXT NOT NULL,
  data TEXT NOT NULL,                -- JSON
  hash BLOB NOT NULL                 -- SHA-256 over the previous hash and this line
) STRICT;
CREATE INDEX event_by_subject ON event(subject, seq);

-- content: where the audit trail was cut: the last line that was pruned each time
CREATE TABLE audit_checkpoint (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  envelope TEXT NOT NULL,            -- the same, signed by the audit key
  created_at INTEGER NOT NULL
) STRICT;

-- content: devices to which nothing is delivered for a while
CREATE TABLE freeze (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  selector TEXT NOT NULL,            -- RSQL; '' is every device
  why TEXT NOT NULL,
  from_at INTEGER NOT NULL,          -- it holds nothing before
  until_at INTEGER NOT NULL,         -- 0: until it is lifted
  every TEXT NOT NULL,               -- rules by which it recurs between the two, JSON; '': it does not
  zone TEXT NOT NULL,                -- whose clock they mean
  look_at INTEGER,                   -- its next span is to be made then; NULL: there is none to come
  lifted_at INTEGER NOT NULL DEFAULT 0, -- 0: it was not
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL
) STRICT;
CREATE INDEX freeze_by_look ON freeze(look_at) WHERE look_at IS NOT NULL;

-- content: when freezes have held, hold, and hold next
CREATE TABLE freeze_span (
  freeze_id INTEGER NOT NULL REFERENCES freeze(id),
  from_at INTEGER NOT NULL,
  until_at INTEGER NOT NULL,         -- the greatest number: until the freeze is lifted
  told INTEGER NOT NULL,             -- what the audit trail says of it, enum freeze_told
  PRIMARY KEY (freeze_id, from_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX freeze_span_by_until ON freeze_span(until_at);
CREATE INDEX freeze_span_untold ON freeze_span(from_at) WHERE told < 2;

-- content: where events are sent to. The audit trail is their outbox: each has a cursor into it
CREATE TABLE webhook (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  url TEXT NOT NULL,
  kinds TEXT NOT NULL,               -- JSON array of kinds and "prefix.*"; empty: every kind
  selector TEXT,                     -- RSQL: events about one device only if it matches; NULL: every
  salt BLOB NOT NULL,                -- its secret is made from this and a secret that is not in here
  enabled INTEGER NOT NULL DEFAULT 1,
  cursor INTEGER NOT NULL,           -- events up to this number are done
  attempts INTEGER NOT NULL DEFAULT 0, -- failed in a row
  retry_at INTEGER NOT NULL DEFAULT 0, failing_since INTEGER NOT NULL DEFAULT 0,
  last_error TEXT NOT NULL DEFAULT '',
  delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL, created_by TEXT NOT NULL
) STRICT;

-- content: what came of events that were for a webhook; the newest ones
CREATE TABLE delivery (
  webhook_id INTEGER NOT NULL REFERENCES webhook(id),
  seq INTEGER NOT NULL,              -- of the event
  state TEXT NOT NULL,               -- waiting, delivered, dead
  attempts INTEGER NOT NULL,
  status INTEGER NOT NULL,           -- of the last answer; 0: none came
  took_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  at INTEGER NOT NULL,               -- of the last attempt
  PRIMARY KEY (webhook_id, seq)
) STRICT, WITHOUT ROWID;

-- derived: deltas that are ready (or known not to pay)
CREATE TABLE delta (
  id INTEGER PRIMARY KEY,
  from_artifact INTEGER NOT NULL,    -- artifact.id; 0: to_artifact compressed by itself
  to_artifact INTEGER NOT NULL REFERENCES artifact(id),
  codec TEXT NOT NULL,
  level INTEGER NOT NULL DEFAULT 0,  -- on the codec's scale
  state TEXT NOT NULL,               -- ready, useless, failed
  sha256 BLOB, size INTEGER NOT NULL DEFAULT 0,
  memory INTEGER NOT NULL DEFAULT 0, -- bytes of heap that decoding takes
  built_ms INTEGER NOT NULL DEFAULT 0,
  used_at INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  UNIQUE (to_artifact, from_artifact, codec, level)
) STRICT;
CREATE INDEX delta_by_sha256 ON delta(sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX delta_by_use ON delta(used_at) WHERE state = 'ready';

-- content: answers that a repeated request gets again
CREATE TABLE idempotency (
  token_id INTEGER NOT NULL,
  key TEXT NOT NULL,
  request BLOB NOT NULL,             -- digest of method, path and body
  status INTEGER NOT NULL,
  response TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (token_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency(created_at);

INSERT INTO state (id, digest) VALUES
  (1, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
