#include <sodium.h>

#include <sys/resource.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

// Keeps what the process holds out of core dumps, and other processes of the user from reading it.
// `prctl` takes any number of arguments, and Swift calls no such function. Returns 0, or -1 with
// `errno` set.
static inline int presence_forbid_dumps(void) {
  struct rlimit none = {0, 0};
  int result = setrlimit(RLIMIT_CORE, &none);
#ifdef __linux__
  // A system that pipes core dumps into a program passes over the limit, but not over this.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) result = -1;
#endif
  return result;
}
