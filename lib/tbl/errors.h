/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kind of failure that fleetd, fleetctl and fleet-agent tell apart.
 * FL_ERR(code, HTTP status, exit code of fleetctl, problem type, title)
 *
 * The problem type is the last part of the RFC 9457 `type` and never changes once released.
 * To add one: add a row; the enum, the HTTP answer, the exit code and the manual follow. */
FL_ERR(INVALID, 400, 2, "invalid", "The request is not valid")
FL_ERR(UNAUTHENTICATED, 401, 5, "unauthenticated", "Credentials are missing or wrong")
FL_ERR(NONCE, 401, 5, "nonce", "The request's nonce was used before")
FL_ERR(CLOCK, 401, 5, "clock", "The signature's time is too far from the server's")
FL_ERR(FORBIDDEN, 403, 5, "forbidden", "These credentials do not allow this")
FL_ERR(NOT_FOUND, 404, 4, "not-found", "There is no such thing")
FL_ERR(METHOD, 405, 2, "method-not-allowed", "This address does not take this method")
FL_ERR(CONFLICT, 409, 6, "conflict", "This contradicts what is stored")
FL_ERR(GONE, 410, 4, "gone", "This is no longer here")
FL_ERR(LENGTH, 411, 2, "length-required", "The length of the body must be stated")
FL_ERR(PRECONDITION, 412, 6, "precondition-failed", "The thing has changed meanwhile")
FL_ERR(TOO_LARGE, 413, 2, "too-large", "The body is larger than allowed")
FL_ERR(MEDIA, 415, 2, "unsupported-media-type", "This content type is not understood")
FL_ERR(RANGE, 416, 2, "range", "The range lies outside of the content")
FL_ERR(REFUSED, 422, 7, "refused", "The request is understood but cannot be carried out")
FL_ERR(BUSY, 429, 8, "too-many-requests", "Too many requests; try again later")
FL_ERR(HEADERS, 431, 2, "headers-too-large", "The request's headers are too large")
FL_ERR(INTERNAL, 500, 10, "internal", "fleetd has a defect")
FL_ERR(UNAVAILABLE, 503, 8, "unavailable", "Temporarily not possible; try again later")
FL_ERR(TIMEOUT, 504, 9, "timeout", "It took too long")
FL_ERR(FULL, 507, 8, "no-space", "There is no space left")
FL_ERR(NOMEM, 503, 8, "no-memory", "There is not enough memory now; try again later")
FL_ERR(IO, 500, 10, "input-output", "Reading or writing failed")
FL_ERR(CORRUPT, 500, 10, "corrupt", "Stored or received bytes are damaged")
FL_ERR(NETWORK, 502, 8, "network", "The other side cannot be reached")
FL_ERR(SIGNATURE, 401, 5, "bad-signature", "A signature does not verify")
FL_ERR(STOPPED, 503, 8, "stopped", "The operation was stopped")
