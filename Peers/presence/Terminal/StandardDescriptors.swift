import Foundation

/// The descriptors 0, 1 and 2 of the process.
enum StandardDescriptors {
  /// Opens those that are closed on `/dev/null`. To be called before anything else is opened: it
  /// would be given their numbers, and what is printed would go into it.
  static func openAll() {
    for descriptor in STDIN_FILENO...STDERR_FILENO
    where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The system gives the lowest number that is free: this one.
      let opened = open("/dev/null", O_RDWR)
      guard opened == descriptor else { _exit(CommandFailure.failedExitCode) }
    }
  }
}
