/* doctor.h: certificate and key. */
#include "common/clock.h"
#include "services/cli/doctor.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

#define SOON_DAYS 14

static X509 *read_certificate(const char *path)
{
	FILE *stream = fopen(path, "re");
	X509 *ret = stream ? PEM_read_X509(stream, NULL, NULL, NULL) : NULL;

	if (stream)
		(void)fclose(stream); /* only read */
	return ret;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *stream = fopen(path, "re");
	EVP_PKEY *ret = stream ? PEM_read_PrivateKey(stream, NULL, NULL, NULL) : NULL;

	if (stream)
		(void)fclose(stream); /* only read */
	return ret;
}

static void check_dates(struct doctor *doctor, const X509 *certificate)
{
	int days = 0, seconds = 0;

	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
		doctor_add(doctor, "certificate", "check the clock, or wait",
		           "it is not valid yet");
		return;
	}
	if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate))) {
		doctor_add(doctor, "certificate", "make a new one", "its end cannot be read");
		return;
	}
	if (days < 0 || seconds < 0)
		doctor_add(doctor, "certificate", "renew it now: no device connects",
		           "it ended %d days ago", -days);
	else
		doctor_add(doctor, "certificate", days < SOON_DAYS ? "renew it" : NULL,
		           "it ends in %d days", days);
}

void doctor_tls(struct doctor *doctor)
{
	X509 *certificate;
	EVP_PKEY *key;

	if (!doctor->settings.tls_cert || !doctor->settings.tls_key)
		return;
	certificate = read_certificate(doctor->settings.tls_cert);
	key = read_key(doctor->settings.tls_key);
	if (!certificate || !key)
		doctor_add(doctor, "certificate",
		           "give PEM files: the chain, and its key without a "
		           "pass phrase",
		           "%s holds no %s",
		           certificate ? doctor->settings.tls_key : doctor->settings.tls_cert,
		           certificate ? "private key" : "certificate");
	else if (X509_check_private_key(certificate, key) != 1)
		doctor_add(doctor, "certificate", "give the key that the certificate was made for",
		           "the key does not belong to it");
	else
		check_dates(doctor, certificate);
	X509_free(certificate);
	EVP_PKEY_free(key);
}
