/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A load generator for the management API that costs little itself: requests are made once and sent over kept connections.
 *
 * usage: apiload PORT plain|tls BASE64-CREDENTIALS CONNECTIONS SECONDS get NAMES-FILE
 *        apiload PORT plain|tls BASE64-CREDENTIALS 1 SECONDS wql QUERY
 *
 * get: Msvm_ComputerSystem by each name of the file in turn; prints requests per second and the latencies' median and 99th percentile in
 * microseconds.  wql: enumerations with large pages; prints enumerations per second, median and 99th percentile of a whole one, instances
 * per enumeration, bytes and round trips.  Certificates are not verified.  Every answer must be 200 and hold what was asked. */

enum { MAX_NAMES = 100000, MAX_SAMPLES = 4000000, MAX_ANSWER = 64 << 20, MAX_TEXT = 8192, PAGE = 1000, ENVELOPE = 16 << 20 };

#define NS_HEAD \
    "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" " \
    "xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns:n=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\"><s:Header>" \
    "<a:To>http://127.0.0.1/wsman</a:To><a:MessageID>uuid:11111111-2222-3333-4444-555555555555</a:MessageID><a:ReplyTo><a:Address>" \
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
#define BASE "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/"

static struct {
    int port;
    bool tls;
    const char *credentials, *query;
    double seconds;
    char **requests;
    size_t request_count;
    gnutls_certificate_credentials_t trust;
} job;

struct link {
    int fd;
    gnutls_session_t session; /* NULL: plain */
    char *answer;             /* MAX_ANSWER bytes */
    size_t len, body;         /* of the last answer; where its body begins */
};

struct worker {
    pthread_t thread;
    size_t first;
    uint32_t *samples;
    size_t count, room, instances, trips, bytes;
};

static void
die(const char *what)
{
    fprintf(stderr, "apiload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
secure(struct link *l)
{
    int status;
    gnutls_init(&l->session, GNUTLS_CLIENT);
    gnutls_set_default_priority(l->session);
    gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE, job.trust);
    gnutls_transport_set_int(l->session, l->fd);
    do
        status = gnutls_handshake(l->session);
    while (status < 0 && !gnutls_error_is_fatal(status));
    if (status < 0)
        die("TLS");
}

static void
join(struct link *l)
{
    const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)job.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (l->fd < 0 || connect(l->fd, (const struct sockaddr *)&at, sizeof at) < 0)
        die("connect");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->answer = malloc(MAX_ANSWER);
    if (job.tls)
        secure(l);
}

static void
put(struct link *l, const char *data, size_t len)
{
    while (len) {
        const ssize_t n = l->session ? gnutls_record_send(l->session, data, len) : send(l->fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            die("send");
        data += n;
        len -= (size_t)n;
    }
}

static size_t
more(struct link *l)
{
    if (l->len >= MAX_ANSWER - 1)
        die("the answer is too long");
    ssize_t n;
    do
        n = l->session ? gnutls_record_recv(l->session, l->answer + l->len, MAX_ANSWER - 1 - l->len)
                       : recv(l->fd, l->answer + l->len, MAX_ANSWER - 1 - l->len, 0);
    while (l->session && (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED));
    if (n <= 0)
        die("the connection ended");
    l->len += (size_t)n;
    l->answer[l->len] = '\0';
    return (size_t)n;
}

/* One request, one answer of known length. */
static void
ask(struct link *l, const char *request, size_t len)
{
    char *end;
    put(l, request, len);
    l->len = 0;
    do
        more(l);
    while (!(end = strstr(l->answer, "\r\n\r\n")));
    const char *length = strcasestr(l->answer, "\r\ncontent-length:");
    if (strncmp(l->answer, "HTTP/1.1 200", 12) != 0 || !length || length > end) {
        fprintf(stderr, "%s\n", l->answer);
        die("the answer");
    }
    l->body = (size_t)(end + 4 - l->answer);
    const size_t whole = l->body + strtoul(length + 17, NULL, 10);
    while (l->len < whole)
        more(l);
}

static char *
request_of(const char *action, const char *resource, const char *header, const char *body)
{
    char *soap = malloc(MAX_TEXT), *http = malloc(MAX_TEXT * 2);
    snprintf(soap, MAX_TEXT, NS_HEAD "<a:Action>%s</a:Action><w:ResourceURI>" BASE "%s</w:ResourceURI>%s</s:Header><s:Body>%s</s:Body></s:Envelope>",
             action, resource, header, body);
    snprintf(http, MAX_TEXT * 2,
             "POST /wsman HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic %s\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             job.credentials, strlen(soap), soap);
    free(soap);
    return http;
}

static char *
get_request(const char *name)
{
    char header[MAX_TEXT / 2];
    snprintf(header, sizeof header,
             "<w:SelectorSet><w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"Name\">%s</w:Selector>"
             "</w:SelectorSet>",
             name);
    return request_of("http://schemas.xmlsoap.org/ws/2004/09/transfer/Get", "Msvm_ComputerSystem", header, "");
}

static size_t
count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void
sample(struct worker *w, double begun)
{
    if (w->count < w->room)
        w->samples[w->count++] = (uint32_t)((now() - begun) * 1e6);
}

static void *
run_get(void *p)
{
    struct worker *w = p;
    struct link l = { 0 };
    join(&l);
    const double end = now() + job.seconds;
    for (size_t n = w->first; now() < end; n = (n + 1) % job.request_count) {
        const double begun = now();
        ask(&l, job.requests[n], strlen(job.requests[n]));
        sample(w, begun);
        if (!strstr(l.answer + l.body, ":Msvm_ComputerSystem"))
            die("no instance in the answer");
    }
    close(l.fd);
    return NULL;
}

/* An enumeration to its end. */
static void
enumerate(struct link *l, struct worker *w)
{
    char body[MAX_TEXT / 2], header[256];
    snprintf(header, sizeof header, "<w:MaxEnvelopeSize>%d</w:MaxEnvelopeSize>", ENVELOPE);
    snprintf(body, sizeof body,
             "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>%d</w:MaxElements><w:Filter "
             "Dialect=\"http://schemas.microsoft.com/wbem/wsman/1/WQL\">%s</w:Filter></n:Enumerate>",
             PAGE, job.query);
    char *request = request_of("http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate", "*", header, body);
    w->instances = w->trips = w->bytes = 0;
    for (;;) {
        ask(l, request, strlen(request));
        free(request);
        w->trips++;
        w->bytes += l->len;
        const char *text = l->answer + l->body, *context = strstr(text, "EnumerationContext>");
        w->instances += count_of(text, "</p:Msvm_");
        if (strstr(text, "EndOfSequence") || !context)
            return;
        context += strlen("EnumerationContext>");
        snprintf(body, sizeof body, "<n:Pull><n:EnumerationContext>%.*s</n:EnumerationContext><n:MaxElements>%d</n:MaxElements></n:Pull>",
                 (int)strcspn(context, "<"), context, PAGE);
        request = request_of("http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull", "*", header, body);
    }
}

static void *
run_wql(void *p)
{
    struct worker *w = p;
    struct link l = { 0 };
    join(&l);
    const double end = now() + job.seconds;
    while (now() < end) {
        const double begun = now();
        enumerate(&l, w);
        sample(w, begun);
    }
    close(l.fd);
    return NULL;
}

static void
read_names(const char *file)
{
    char line[256];
    FILE *f = fopen(file, "r");
    if (!f)
        die(file);
    job.requests = calloc(MAX_NAMES, sizeof *job.requests);
    while (job.request_count < MAX_NAMES && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        job.requests[job.request_count++] = get_request(line);
    }
    fclose(f);
    if (!job.request_count)
        die("no names");
}

static int
by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void
report(struct worker *workers, int count, double seconds, bool wql)
{
    size_t total = 0;
    uint32_t *all = malloc(sizeof *all * MAX_SAMPLES);
    for (int i = 0; i < count; i++)
        for (size_t n = 0; n < workers[i].count && total < MAX_SAMPLES; n++)
            all[total++] = workers[i].samples[n];
    if (!total)
        die("nothing was measured");
    qsort(all, total, sizeof *all, by_value);
    printf("%.1f %u %u", (double)total / seconds, all[total / 2], all[total * 99 / 100]);
    if (wql)
        printf(" %zu %zu %zu", workers[0].instances, workers[0].bytes, workers[0].trips);
    printf("\n");
    free(all);
}

int
main(int argc, char **argv)
{
    if (argc != 8)
        return fprintf(stderr, "usage: apiload PORT plain|tls CREDENTIALS CONNECTIONS SECONDS get|wql NAMES|QUERY\n"), 2;
    const bool wql = strcmp(argv[6], "wql") == 0;
    const int count = atoi(argv[4]);
    job.port = atoi(argv[1]);
    job.tls = strcmp(argv[2], "tls") == 0;
    job.credentials = argv[3];
    job.seconds = atof(argv[5]);
    job.query = argv[7];
    gnutls_certificate_allocate_credentials(&job.trust);
    if (!wql)
        read_names(argv[7]);
    struct worker *workers = calloc((size_t)count, sizeof *workers);
    const double begun = now();
    for (int i = 0; i < count; i++) {
        workers[i].room = MAX_SAMPLES / (size_t)count;
        workers[i].samples = malloc(sizeof *workers[i].samples * workers[i].room);
        workers[i].first = wql ? 0 : job.request_count * (size_t)i / (size_t)count;
        pthread_create(&workers[i].thread, NULL, wql ? run_wql : run_get, &workers[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    report(workers, count, now() - begun, wql);
    return 0;
}
