#ifndef CALLOCATIONCOUNT_H
#define CALLOCATIONCOUNT_H

/// How often this thread has asked for memory since it began; -1 where that is not known.
///
/// A program that links this library calls its `malloc`, which counts and goes on to the system's.
long allocation_count(void);

#endif
