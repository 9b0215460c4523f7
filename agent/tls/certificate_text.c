/* Names and dates of certificates in sentences. */
#include "agent/tls/certificate_text.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <time.h>

#define MAX_NAMES_SHOWN 8 /* of a certificate */

void certificate_text_name(const X509_NAME *name, struct strbuf *text)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes = NULL;
    if (memory && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) > 0) {
        long length = BIO_get_mem_data(memory, &bytes);
        strbuf_add_char(text, '"');
        strbuf_append(text, bytes, (size_t)(length > 200 ? 200 : length));
        strbuf_add_char(text, '"');
    } else {
        strbuf_add(text, "(no name)");
    }
    BIO_free(memory);
}

static void add_time(const struct tm *utc, struct strbuf *text)
{
    strbuf_addf(text, "%04d-%02d-%02d %02d:%02d UTC", utc->tm_year + 1900, utc->tm_mon + 1,
                utc->tm_mday, utc->tm_hour, utc->tm_min);
}

void certificate_text_date(const ASN1_TIME *when, struct strbuf *text)
{
    struct tm utc;
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        add_time(&utc, text);
    else
        strbuf_add(text, "(unreadable date)");
}

void certificate_text_now(struct strbuf *text)
{
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc))
        add_time(&utc, text);
}

static bool add_alternative(const GENERAL_NAME *name, bool first, struct strbuf *text)
{
    char address[INET6_ADDRSTRLEN] = "";
    if (name->type == GEN_DNS) {
        const unsigned char *bytes = ASN1_STRING_get0_data(name->d.dNSName);
        int length = ASN1_STRING_length(name->d.dNSName);
        strbuf_addf(text, "%s%.*s", first ? "" : ", ", length > 253 ? 253 : length, bytes);
        return true;
    }
    if (name->type != GEN_IPADD)
        return false;
    int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
    if (family == AF_INET6 && ASN1_STRING_length(name->d.iPAddress) != 16)
        return false;
    (void)inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), address, sizeof(address));
    strbuf_addf(text, "%s%s", first ? "" : ", ", address);
    return true;
}

void certificate_text_hosts(const X509 *certificate, struct strbuf *text)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int shown = 0, total = names ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < total && shown < MAX_NAMES_SHOWN; i++)
        shown += add_alternative(sk_GENERAL_NAME_value(names, i), shown == 0, text);
    if (shown == 0)
        certificate_text_name(X509_get_subject_name(certificate), text);
    else if (shown == MAX_NAMES_SHOWN && total > shown)
        strbuf_add(text, ", ...");
    GENERAL_NAMES_free(names);
}
