// Both ends of what is measured over the network.
//
//   net serve PORT             sends zeros on PORT, reads on PORT+1 and says one byte at the end, echoes on PORT+2
//   net down HOST PORT MIB     prints Gbit/s
//   net up HOST PORT MIB       prints Gbit/s
//   net echo HOST PORT COUNT   prints median and 90th percentile of connect, one byte there and back, in us
//   net many HOST PORT COUNT   prints how long COUNT connections at once take for one byte there and back each, in ms
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 256 * 1024 };

static void die(const char *what) {
  fprintf(stderr, "net: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *source(void *arg) {
  int fd = (int)(intptr_t)arg;
  static char zeros[PIECE];
  while (write(fd, zeros, sizeof zeros) > 0) {
  }
  close(fd);
  return NULL;
}

static void *sink(void *arg) {
  int fd = (int)(intptr_t)arg;
  char *piece = malloc(PIECE);
  while (read(fd, piece, PIECE) > 0) {
  }
  // A peer that is gone has its own error.
  if (write(fd, "!", 1) != 1) errno = 0;
  free(piece);
  close(fd);
  return NULL;
}

static void *echo(void *arg) {
  int fd = (int)(intptr_t)arg;
  char piece[4096];
  ssize_t length;
  while ((length = read(fd, piece, sizeof piece)) > 0)
    if (write(fd, piece, (size_t)length) != length) break;
  close(fd);
  return NULL;
}

struct service {
  int listener;
  void *(*serve)(void *);
};

static void *accept_all(void *arg) {
  struct service *service = arg;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int fd = accept(service->listener, NULL, NULL), one = 1;
    pthread_t thread;
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (pthread_create(&thread, &attributes, service->serve, (void *)(intptr_t)fd)) close(fd);
  }
  return NULL;
}

static void serve(int port) {
  void *(*const serves[])(void *) = {source, sink, echo};
  static struct service services[3];
  pthread_t thread;
  for (int i = 0; i < 3; i++) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)(port + i))};
    int one = 1;
    services[i].serve = serves[i];
    services[i].listener = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(services[i].listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(services[i].listener, (struct sockaddr *)&address, sizeof address)) die("bind");
    if (listen(services[i].listener, 1024)) die("listen");
    if (pthread_create(&thread, NULL, accept_all, &services[i])) die("thread");
  }
  pause();
}

static struct sockaddr_storage server;
static socklen_t server_length;

static void look_up(const char *host, const char *port) {
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
  int code = getaddrinfo(host, port, &hints, &found);
  if (code) {
    fprintf(stderr, "net: %s: %s\n", host, gai_strerror(code));
    exit(1);
  }
  memcpy(&server, found->ai_addr, found->ai_addrlen);
  server_length = found->ai_addrlen;
  freeaddrinfo(found);
}

static int dial(void) {
  int fd = socket(server.ss_family, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&server, server_length)) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void bulk(int up, uint64_t bytes) {
  char *piece = calloc(1, PIECE);
  int fd = dial();
  uint64_t left = bytes;
  double start = now();
  while (left > 0) {
    size_t most = left < PIECE ? (size_t)left : PIECE;
    ssize_t length = up ? write(fd, piece, most) : read(fd, piece, most);
    if (length <= 0) die("transfer");
    left -= (uint64_t)length;
  }
  if (up && (shutdown(fd, SHUT_WR) || read(fd, piece, 1) != 1)) die("end of the upload");
  printf("%.3f\n", (double)bytes * 8 / (now() - start) / 1e9);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void there_and_back(int fd) {
  // Closed by a reset: what waits for late packets would use all ports of the host up.
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  char byte = 'x';
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("one byte");
}

static void echoes(int count) {
  double *times = malloc((size_t)count * sizeof *times);
  for (int i = 0; i < count; i++) {
    double start = now();
    int fd = dial();
    there_and_back(fd);
    times[i] = (now() - start) * 1e6;
    close(fd);
  }
  qsort(times, (size_t)count, sizeof *times, compare);
  printf("%.1f %.1f\n", times[count / 2], times[count * 9 / 10]);
}

static void many(int count) {
  int *fds = malloc((size_t)count * sizeof *fds);
  double start = now();
  for (int i = 0; i < count; i++) fds[i] = dial();
  for (int i = 0; i < count; i++)
    if (write(fds[i], "x", 1) != 1) die("write");
  for (int i = 0; i < count; i++) {
    char byte;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    if (read(fds[i], &byte, 1) != 1) die("read");
    setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  printf("%.1f\n", (now() - start) * 1e3);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "serve")) {
    serve(atoi(argv[2]));
    return 0;
  }
  if (argc != 5) {
    fprintf(stderr, "usage: net serve PORT | net down|up|echo|many HOST PORT COUNT\n");
    return 2;
  }
  look_up(argv[2], argv[3]);
  int count = atoi(argv[4]);
  if (!strcmp(argv[1], "down") || !strcmp(argv[1], "up")) bulk(argv[1][0] == 'u', (uint64_t)count << 20);
  else if (!strcmp(argv[1], "echo")) echoes(count);
  else many(count);
  return 0;
}
