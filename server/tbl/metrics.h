/* SPDX-License-Identifier: Apache-2.0
 *
 * Every figure on /metrics.
 * METRIC(kind, NAME, name, help)
 *
 * kind: COUNTER (only rises; metrics_add), GAUGE (metrics_set or metrics_add with either sign),
 * SECONDS (a histogram of durations; metrics_time). The enum is METRIC_NAME. Names follow the rules
 * of Prometheus: base units, counters end in _total. To add one: add a row. */
METRIC(COUNTER, REQUESTS, "fleetd_requests_total", "Requests answered")
METRIC(COUNTER, REQUEST_ERRORS, "fleetd_request_errors_total", "Requests answered with a status of 500 or above")
METRIC(COUNTER, REQUESTS_REFUSED, "fleetd_requests_refused_total", "Requests answered with a status from 400 to 499")
METRIC(COUNTER, REQUEST_DEADLINES, "fleetd_request_deadlines_total", "Requests answered with 504")
METRIC(COUNTER, QUEUE_REFUSALS, "fleetd_queue_refusals_total", "Requests refused since a queue was full")
METRIC(SECONDS, REQUEST_SECONDS, "fleetd_request_duration_seconds", "From the request's headers to its answer, lanes only")
METRIC(GAUGE, REQUESTS_ACTIVE, "fleetd_requests_in_flight", "Requests in lanes, streams and waits")
METRIC(GAUGE, CONNECTIONS, "fleetd_connections", "Open connections")
METRIC(COUNTER, BATCHES, "fleetd_write_batches_total", "Transactions of the writer")
METRIC(COUNTER, BATCH_JOBS, "fleetd_write_jobs_total", "Jobs that ran in them")
METRIC(COUNTER, BATCH_REFUSED, "fleetd_write_jobs_refused_total", "Jobs that were rolled back alone")
METRIC(COUNTER, BATCHES_AGAIN, "fleetd_write_batches_again_total", "Transactions that ran again, with savepoints")
METRIC(COUNTER, BATCHES_LOST, "fleetd_write_batches_lost_total", "Transactions that could not be committed")
METRIC(SECONDS, COMMIT_SECONDS, "fleetd_commit_duration_seconds", "COMMIT with its fsync")
METRIC(COUNTER, CHECKPOINTS, "fleetd_checkpoints_total", "Checkpoints of the write-ahead log")
METRIC(GAUGE, WAL_BYTES, "fleetd_wal_bytes", "Size of the write-ahead log")
METRIC(GAUGE, WRITE_QUEUE, "fleetd_write_queue_length", "Jobs that wait for the writer")
METRIC(GAUGE, READ_QUEUE, "fleetd_read_queue_length", "Jobs that wait for a reader")
METRIC(GAUGE, WORK_QUEUE, "fleetd_work_queue_length", "Jobs that wait for a worker")
METRIC(COUNTER, DELTAS_BUILT, "fleetd_deltas_built_total", "Deltas and compressed artifacts built and kept")
METRIC(COUNTER, DELTAS_USELESS, "fleetd_deltas_useless_total", "Deltas built that were not smaller than the full artifact")
METRIC(COUNTER, DELTAS_FAILED, "fleetd_deltas_failed_total", "Builds of deltas that failed or were over their limits")
METRIC(COUNTER, DELTAS_REFUSED, "fleetd_deltas_refused_total", "Deltas asked for while the queue was full")
METRIC(COUNTER, DELTAS_EVICTED, "fleetd_deltas_evicted_total", "Derived blobs removed for space")
METRIC(GAUGE, DELTA_QUEUE, "fleetd_delta_queue_length", "Deltas that wait to be built")
METRIC(GAUGE, DELTA_BACKGROUND, "fleetd_delta_background_length", "Pairs for which a smaller delta may be built later")
METRIC(COUNTER, DELTA_SAVED, "fleetd_delta_saved_bytes_total", "Bytes that devices need not fetch: artifact sizes less the sizes offered")
METRIC(SECONDS, DELTA_SECONDS, "fleetd_delta_build_duration_seconds", "Building one delta")
METRIC(GAUGE, START_TIME, "fleetd_start_time_seconds", "When this process began, seconds since 1970")
