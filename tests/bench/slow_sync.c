// Loaded before a program, makes each flush take SLUICE_SLOW_SYNC_MS longer: a card, on a machine that has none.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_a_while(void) {
  const char* text = getenv("SLUICE_SLOW_SYNC_MS");
  const long ms = text == NULL ? 0 : atol(text);
  struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  while (nanosleep(&left, &left) != 0) {
  }
}

int fdatasync(int fd) {
  int (*const real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  wait_a_while();
  return real(fd);
}

int fsync(int fd) {
  int (*const real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  wait_a_while();
  return real(fd);
}
