/* Compiled only. The same table against whichever headers the command line names: ours for drivers, or mingw-w64's as an independent opinion. */
#include <ntddk.h>
#include <stddef.h>

#define TYPE(type, size) _Static_assert(sizeof(type) == (size), "sizeof " #type);
#define FIELD(type, field, offset) _Static_assert(offsetof(type, field) == (offset), "offset of " #type "." #field);
#ifdef MINGW
#define OUR_TYPE(type, size, why)
#define OUR_FIELD(type, field, offset, why)
#else
#define OUR_TYPE(type, size, why) TYPE(type, size)
#define OUR_FIELD(type, field, offset, why) FIELD(type, field, offset)
#endif

#include "layouts.inc"
