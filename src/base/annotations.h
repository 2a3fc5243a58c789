// The calling convention of everything a driver calls or is called by, and clang's permission checks as macros that vanish elsewhere.
#pragma once

#define KDPC_NTAPI __attribute__((ms_abi))

#if defined(__clang__)
#define CAPABILITY(x) __attribute__((capability(x)))
#define SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define GUARDED_BY(x) __attribute__((guarded_by(x)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define RETURN_CAPABILITY(x) __attribute__((lock_returned(x)))
#define NO_PERMISSION_CHECK __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define SCOPED_CAPABILITY
#define GUARDED_BY(x)
#define REQUIRES(...)
#define ACQUIRE(...)
#define RELEASE(...)
#define RETURN_CAPABILITY(x)
#define NO_PERMISSION_CHECK
#endif
