// Interrupts a process at one step of its writes to a state directory. To be loaded before the C library.
//
// INTERRUPT_AT   the step, from 1; beyond the last one nothing happens
// INTERRUPT_HOW  kill: the process is killed before the step, half of a piece of content being written;
//                fail: the step fails with EIO
// INTERRUPT_LOG  a file that gets the name of each step
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int folder = -1;  // the state directory
static int draft = -1;   // the file that is being written
static int step = 0;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int is_draft(const char *path) {
  size_t length = strlen(path);
  return path[0] == '.' && length > 4 && strcmp(path + length - 4, ".new") == 0;
}

// Counts a step. Returns 1 when it has to fail.
static int reached(const char *name, const void *bytes, size_t count) {
  const char *log = getenv("INTERRUPT_LOG"), *at = getenv("INTERRUPT_AT"), *how = getenv("INTERRUPT_HOW");
  if (log) {
    int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, file, name, strlen(name));
    syscall(SYS_write, file, "\n", 1);
    syscall(SYS_close, file);
  }
  if (++step != (at ? atoi(at) : 0)) return 0;
  if (how && strcmp(how, "fail") == 0) {
    errno = EIO;
    return 1;
  }
  if (bytes) syscall(SYS_write, draft, bytes, count / 2);
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int open_in(int directory, const char *path, int flags, mode_t mode) {
  int counts = (flags & O_CREAT) && is_draft(path);
  if (counts && reached("open", NULL, 0)) return -1;
  int file = syscall(SYS_openat, directory, path, flags, mode);
  if (counts) {
    folder = directory;
    draft = file;
  }
  return file;
}

int openat(int directory, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_in(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & O_CREAT) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_in(directory, path, flags, mode);
}

ssize_t write(int file, const void *bytes, size_t count) {
  if (file == draft && draft >= 0 && reached("write", bytes, count)) return -1;
  return syscall(SYS_write, file, bytes, count);
}

int fsync(int file) {
  if (file == draft && draft >= 0) {
    if (reached("sync file", NULL, 0)) return -1;
  } else if (file == folder && folder >= 0 && reached("sync folder", NULL, 0)) {
    return -1;
  }
  return REAL(fsync)(file);
}

int close(int file) {
  if (file == draft && draft >= 0) {
    int fails = reached("close", NULL, 0);
    draft = -1;
    REAL(close)(file);
    return fails ? -1 : 0;
  }
  return REAL(close)(file);
}

int renameat(int from, const char *old, int to, const char *new) {
  if (is_draft(old) && reached("rename", NULL, 0)) return -1;
  return REAL(renameat)(from, old, to, new);
}

int unlinkat(int directory, const char *path, int flags) {
  if (is_draft(path) && reached("unlink", NULL, 0)) return -1;
  return REAL(unlinkat)(directory, path, flags);
}
