/* SPDX-License-Identifier: Apache-2.0
 *
 * DESIGN. GnuTLS asks for the certificate at each handshake and gets the pair that is current then.
 * It borrows the pair for the handshake, so replaced pairs are kept until the end: reloads are rare
 * and a pair is small. Session tickets must be switched on by hand for each session. */
#include "server/http/tls.h"

#include "lib/file.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16
#define PEM_MAX   (1024 * 1024)

struct pair {
	struct pair *older;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
};

struct tls {
	pthread_mutex_t lock;
	struct pair *pair; /* the current one; under the lock */
	gnutls_datum_t ticket_key;
};

/* GnuTLS hands no pointer of ours to the callback; a process has one server. */
static struct tls *the_tls;

static void pair_free(struct pair *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->n; i++)
		gnutls_pcert_deinit(&p->chain[i]);
	gnutls_privkey_deinit(p->key);
	free(p);
}

static enum fl_code fail(int rc, const char *path, struct fl_err *err)
{
	return fl_fail(err, FL_INVALID, "%s: %s", path, gnutls_strerror(rc));
}

static enum fl_code import(struct pair *p, const struct fl_buf *certificate,
	const struct fl_buf *key, const char *paths[2], struct fl_err *err)
{
	const gnutls_datum_t chain = { certificate->p, (unsigned)certificate->n };
	const gnutls_datum_t secret = { key->p, (unsigned)key->n };
	int rc;

	p->n = CHAIN_MAX;
	rc = gnutls_pcert_list_import_x509_raw(p->chain, &p->n, &chain, GNUTLS_X509_FMT_PEM, 0);
	if (rc != 0) {
		p->n = 0;
		return fail(rc, paths[0], err);
	}
	rc = gnutls_privkey_init(&p->key);
	if (rc == 0)
		rc = gnutls_privkey_import_x509_raw(p->key, &secret, GNUTLS_X509_FMT_PEM, NULL, 0);
	return rc == 0 ? FL_OK : fail(rc, paths[1], err);
}

static enum fl_code check_match(struct pair *p, const char *paths[2], struct fl_err *err)
{
	gnutls_pubkey_t of_key = NULL;
	gnutls_datum_t a = { NULL, 0 }, b = { NULL, 0 };
	bool same = false;

	if (gnutls_pubkey_init(&of_key) == 0 &&
		gnutls_pubkey_import_privkey(of_key, p->key, 0, 0) == 0 &&
		gnutls_pubkey_export2(of_key, GNUTLS_X509_FMT_DER, &a) == 0 &&
		gnutls_pubkey_export2(p->chain[0].pubkey, GNUTLS_X509_FMT_DER, &b) == 0)
		same = a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
	gnutls_free(a.data);
	gnutls_free(b.data);
	gnutls_pubkey_deinit(of_key);
	if (same)
		return FL_OK;
	return fl_fail(err, FL_INVALID, "%s is not the key of %s", paths[1], paths[0]);
}

static enum fl_code load(const char *paths[2], struct pair **out, struct fl_err *err)
{
	FL_AUTO_BUF struct fl_buf certificate = { 0 };
	FL_AUTO_BUF struct fl_buf key = { 0 };
	struct pair *p;
	enum fl_code code = fl_file_get(paths[0], PEM_MAX, &certificate, err);

	if (code == FL_OK)
		code = fl_file_get(paths[1], PEM_MAX, &key, err);
	if (code != FL_OK)
		return code;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for a certificate");
	code = import(p, &certificate, &key, paths, err);
	gnutls_memset(key.p, 0, key.n);
	if (code == FL_OK)
		code = check_match(p, paths, err);
	if (code != FL_OK) {
		pair_free(p);
		return code;
	}
	*out = p;
	return FL_OK;
}

enum fl_code tls_load(struct tls *t, const char *certificate, const char *key, struct fl_err *err)
{
	const char *paths[2] = { certificate, key };
	struct pair *p = NULL;
	enum fl_code code = load(paths, &p, err);

	if (code != FL_OK)
		return code;
	(void)pthread_mutex_lock(&t->lock);
	p->older = t->pair;
	t->pair = p;
	(void)pthread_mutex_unlock(&t->lock);
	return FL_OK;
}

enum fl_code tls_new(const char *certificate, const char *key, struct tls **out, struct fl_err *err)
{
	struct tls *t = calloc(1, sizeof(*t));
	enum fl_code code;

	if (t == NULL)
		return fl_fail(err, FL_NOMEM, "no memory for TLS");
	(void)pthread_mutex_init(&t->lock, NULL);
	code = tls_load(t, certificate, key, err);
	if (code == FL_OK && gnutls_session_ticket_key_generate(&t->ticket_key) != 0)
		code = fl_fail(err, FL_INTERNAL, "cannot make a key for session tickets");
	if (code != FL_OK) {
		tls_free(t);
		return code;
	}
	the_tls = t;
	*out = t;
	return FL_OK;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	while (t->pair != NULL) {
		struct pair *p = t->pair;

		t->pair = p->older;
		pair_free(p);
	}
	if (t->ticket_key.data != NULL)
		gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
	gnutls_free(t->ticket_key.data);
	(void)pthread_mutex_destroy(&t->lock);
	the_tls = NULL;
	free(t);
}

static int retrieve(gnutls_session_t session, const gnutls_datum_t *issuers, int n_issuers,
	const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
	unsigned *n, gnutls_privkey_t *key)
{
	struct pair *p;

	(void)session;
	(void)issuers;
	(void)n_issuers;
	(void)algorithms;
	(void)n_algorithms;
	(void)pthread_mutex_lock(&the_tls->lock);
	p = the_tls->pair;
	(void)pthread_mutex_unlock(&the_tls->lock);
	*chain = p->chain;
	*n = p->n;
	*key = p->key;
	return 0;
}

size_t tls_options(struct tls *t, struct MHD_OptionItem *out)
{
	(void)t;
	out[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)retrieve };
	out[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
		(void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" };
	return 2;
}

void tls_session(struct tls *t, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	if (info != NULL && info->tls_session != NULL)
		(void)gnutls_session_ticket_enable_server(info->tls_session, &t->ticket_key);
}
