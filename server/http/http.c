/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http/http.h"

#include "server/http/dispatch.h"
#include "server/http/loop.h"
#include "server/http/tls.h"
#include "server/metrics.h"
#include "server/parts.h"
#include "server/server.h"
#include "server/store/batch.h"

#include "lib/file.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_BYTES  8192 /* per connection: what a request's headers may take */
#define BACKLOG     4096
#define OTHER_FILES 256 /* descriptors that are not connections */
#define OPTIONS_MAX 16

struct http {
	struct routes *routes;
	struct tls *tls; /* NULL: plain */
	struct sockaddr_storage address;
	socklen_t address_size;
	int port;
	size_t n_threads; /* loops that run on a thread of their own */
	http_reload_fn reload;
};

/* Outside of struct http: asked for before http_up and by every part. */
static atomic_int stopping; /* 0 no, 1 wanted, 2 broken */

bool http_stopping(const struct server *s)
{
	(void)s;
	return atomic_load_explicit(&stopping, memory_order_relaxed) != 0;
}

static void stop(struct server *s, int how)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&stopping, &none, how))
		return;
	for (size_t i = 0; i < lanes_loops(s); i++)
		loop_poke(lanes_loop(s, i));
}

void http_stop(struct server *s)
{
	stop(s, 1);
}

void http_stop_broken(struct server *s)
{
	stop(s, 2);
}

int http_port(const struct server *s)
{
	return s->http->port;
}

const struct routes *http_routes(const struct server *s)
{
	return s->http->routes;
}

/* ---- sockets */

/* "127.0.0.1:8470", "[::1]:8470", "localhost:0" into host and port. */
static enum fl_code split_address(
	const char *text, char *host, size_t size, const char **port, struct fl_err *err)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (colon == NULL || n == 0 || n >= size || colon[1] == '\0')
		return fl_fail(err, FL_INVALID, "listen: \"%s\" is not ADDRESS:PORT", text);
	memcpy(host, text, n);
	host[n] = '\0';
	*port = colon + 1;
	return FL_OK;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)a;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)a;

	if (a->ss_family == AF_INET)
		return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
	return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static enum fl_code resolve(struct http *h, const struct settings *set, struct fl_err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	const char *port = NULL;
	char host[256];
	enum fl_code code = split_address(set->listen, host, sizeof(host), &port, err);
	int rc;

	if (code != FL_OK)
		return code;
	rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return fl_fail(
			err, FL_INVALID, "listen: \"%s\": %s", set->listen, gai_strerror(rc));
	memcpy(&h->address, found->ai_addr, found->ai_addrlen);
	h->address_size = found->ai_addrlen;
	freeaddrinfo(found);
	if (!is_loopback(&h->address) && set->tls_certificate[0] == '\0' && !set->plain_http)
		return fl_fail(err, FL_INVALID,
			"listen: %s is not loopback and there is no tls_certificate; set "
			"tls_certificate "
			"and tls_key, or plain_http = yes if something in front does TLS",
			set->listen);
	return FL_OK;
}

static enum fl_code bind_socket(struct http *h, bool shared, int *out, struct fl_err *err)
{
	int fd = socket(h->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;
	enum fl_code code;

	if (fd < 0)
		return fl_fail_errno(err, errno, "cannot make a socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (shared)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	/* Accepted sockets inherit it: answers are one write each and must not wait. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&h->address, h->address_size) == 0 &&
		getsockname(fd, (struct sockaddr *)&h->address, &h->address_size) == 0) {
		*out = fd;
		return FL_OK;
	}
	code = errno == EADDRINUSE
		? fl_fail(err, FL_IO,
			  "the address is in use: another program listens there; stop it or change "
			  "`listen`")
		: fl_fail_errno(err, errno, "cannot bind the address");
	(void)close(fd);
	return code;
}

/* With several loops each has a socket of its own on the port. The first, exclusive bind finds out
 * whether the port is free: a shared one would silently join another fleetd of the same user. */
static enum fl_code open_sockets(struct server *s, struct fl_err *err)
{
	size_t n = lanes_loops(s);
	enum fl_code code = FL_OK;
	int fd = -1;

	code = bind_socket(s->http, false, &fd, err);
	if (code == FL_OK && n > 1) {
		(void)close(fd);
		code = bind_socket(s->http, true, &fd, err);
	}
	for (size_t i = 0; code == FL_OK; i++) {
		lanes_loop(s, i)->listen_fd = fd;
		if (listen(fd, BACKLOG) != 0)
			return fl_fail_errno(err, errno, "cannot listen");
		if (i + 1 == n)
			break;
		code = bind_socket(s->http, true, &fd, err);
	}
	if (code != FL_OK)
		return fl_wrap(err, "listen %s", s->settings->listen);
	s->http->port =
		ntohs(((const struct sockaddr_in *)(const void *)&s->http->address)->sin_port);
	return FL_OK;
}

/* ---- daemons */

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode what)
{
	struct loop *l = cls;

	(void)socket_context;
	metrics_add(l->server->metrics, METRIC_CONNECTIONS,
		what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
	if (what == MHD_CONNECTION_NOTIFY_STARTED && l->server->http->tls != NULL)
		tls_session(l->server->http->tls, connection);
}

static void on_message(void *cls, const char *fmt, va_list ap) FL_PRINTF(2, 0);
static void on_message(void *cls, const char *fmt, va_list ap)
{
	char text[256];
	size_t n;

	(void)cls;
	if (!fl_log_on(FL_LOG_DEBUG))
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)vsnprintf(text, sizeof(text), fmt, ap);
#pragma GCC diagnostic pop
	n = strlen(text);
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	fl_log_debug("libmicrohttpd", FL_S("detail", text));
}

static enum fl_code start_daemon(struct server *s, struct loop *l, struct fl_err *err)
{
	const struct settings *set = s->settings;
	struct MHD_OptionItem options[OPTIONS_MAX];
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_Daemon *d;
	size_t n = 0;

	if (set->connections_per_ip > 0)
		options[n++] = (struct MHD_OptionItem){ MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			(intptr_t)set->connections_per_ip, NULL };
	if (s->http->tls != NULL) {
		flags |= MHD_USE_TLS;
		n += tls_options(s->http->tls, options + n);
	}
	options[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	d = MHD_start_daemon(flags, 0, NULL, NULL, dispatch_request, l, MHD_OPTION_EXTERNAL_LOGGER,
		on_message, NULL, MHD_OPTION_LISTEN_SOCKET, l->listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)((size_t)set->connections / lanes_loops(s)),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(set->idle_timeout / 1000),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
		dispatch_target, l, MHD_OPTION_NOTIFY_COMPLETED, dispatch_completed, l,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
		1, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (d == NULL)
		return fl_fail(
			err, FL_IO, "libmicrohttpd cannot start; log_level = debug tells more");
	return loop_attach(l, d, err);
}

/* Connections need descriptors; the soft limit is often 1024. */
static enum fl_code raise_limits(const struct settings *set, struct fl_err *err)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)set->connections + OTHER_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fl_fail_errno(err, errno, "cannot read the limit of open files");
	if (limit.rlim_cur >= want)
		return FL_OK;
	if (limit.rlim_max < want)
		return fl_fail(err, FL_INVALID,
			"connections = %lld needs %llu open files but the system allows %llu; "
			"raise "
			"LimitNOFILE or lower `connections`",
			(long long)set->connections, (unsigned long long)want,
			(unsigned long long)limit.rlim_max);
	limit.rlim_cur = want;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fl_fail_errno(err, errno, "cannot raise the limit of open files to %llu",
			(unsigned long long)want);
	return FL_OK;
}

/* ---- signals */

static void on_signal(uv_signal_t *handle, int number)
{
	struct loop *l = handle->data;
	struct server *s = l->server;

	if (number == SIGHUP && s->http->reload != NULL) {
		s->http->reload(s);
		return;
	}
	fl_log_info("stopping", FL_S("signal", number == SIGTERM ? "TERM" : "INT"));
	http_stop(s);
}

static void watch_signals(struct loop *l)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	for (size_t i = 0; i < FL_COUNT(numbers); i++) {
		l->signals[i].data = l;
		(void)uv_signal_init(&l->uv, &l->signals[i]);
		(void)uv_signal_start(&l->signals[i], on_signal, numbers[i]);
	}
}

/* ---- up, run, down */

enum fl_code http_announce(const struct server *s, struct fl_err *err)
{
	char text[16];
	int n;

	if (s->settings->port_file[0] == '\0')
		return FL_OK;
	n = snprintf(text, sizeof(text), "%d\n", s->http->port);
	return fl_file_put(s->settings->port_file,
		(struct fl_bytes){ .p = (const uint8_t *)text, .n = (size_t)n }, 0644, err);
}

static enum fl_code open_all(struct server *s, struct fl_err *err)
{
	struct http *h = s->http;
	const struct settings *set = s->settings;
	size_t n = 0;
	const struct route *rows = routes_table(&n);
	enum fl_code code;

	h->routes = routes_new(rows, n);
	if (h->routes == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the routes");
	code = raise_limits(set, err);
	if (code == FL_OK)
		code = resolve(h, set, err);
	if (code == FL_OK && set->tls_certificate[0] != '\0')
		code = tls_new(set->tls_certificate, set->tls_key, &h->tls, err);
	if (code == FL_OK)
		code = open_sockets(s, err);
	for (size_t i = 0; i < lanes_loops(s) && code == FL_OK; i++)
		code = start_daemon(s, lanes_loop(s, i), err);
	/* Before anybody is told that the server is ready: whoever is may send a signal at once. */
	if (code == FL_OK)
		watch_signals(lanes_loop(s, 0));
	return code;
}

enum fl_code http_up(struct server *s, struct fl_err *err)
{
	enum fl_code code;

	s->http = calloc(1, sizeof(*s->http));
	if (s->http == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for the HTTP server");
	code = open_all(s, err);
	if (code != FL_OK)
		http_down(s);
	return code;
}

void http_down(struct server *s)
{
	struct http *h = s->http;

	if (h == NULL)
		return;
	for (size_t i = 0; i < lanes_loops(s); i++)
		loop_detach(lanes_loop(s, i));
	tls_free(h->tls);
	routes_free(h->routes);
	free(h);
	s->http = NULL;
}

static void *loop_main(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "fleetd-loop");
	loop_run(arg);
	return NULL;
}

static enum fl_code start_threads(struct server *s, struct fl_err *err)
{
	sigset_t all, old;
	int rc = 0;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	while (rc == 0 && s->http->n_threads + 1 < lanes_loops(s)) {
		struct loop *l = lanes_loop(s, s->http->n_threads + 1);

		rc = pthread_create(&l->thread, NULL, loop_main, l);
		s->http->n_threads += rc == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? FL_OK : fl_fail_errno(err, rc, "cannot start a loop's thread");
}

enum fl_code http_run(struct server *s, http_reload_fn reload, struct fl_err *err)
{
	struct loop *first = lanes_loop(s, 0);
	enum fl_code code;

	s->http->reload = reload;
	code = start_threads(s, err);
	if (code != FL_OK)
		http_stop(s);
	loop_run(first);
	for (; s->http->n_threads > 0; s->http->n_threads--)
		(void)pthread_join(lanes_loop(s, s->http->n_threads)->thread, NULL);
	if (code == FL_OK && atomic_load(&stopping) == 2)
		code = fl_fail(err, FL_IO,
			"stopped after an I/O error of the database; check the disk, then start "
			"again");
	return code;
}

enum fl_code http_reload_tls(struct server *s, struct fl_err *err)
{
	const struct settings *set = s->settings;

	if (s->http->tls == NULL || set->tls_certificate[0] == '\0')
		return FL_OK;
	return tls_load(s->http->tls, set->tls_certificate, set->tls_key, err);
}
