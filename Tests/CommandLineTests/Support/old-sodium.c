// A libsodium of an older interface than the one that programs are built for.
int sodium_library_version_minor(void) { return 2; }
const char *sodium_version_string(void) { return "1.0.17"; }
