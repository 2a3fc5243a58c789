/* Printing into memory, with the kernel's formats: no floating point. As in the C library, a full buffer is not an error of memory: -1 is returned. */
#ifndef _WDK_CRT_STDIO_H
#define _WDK_CRT_STDIO_H

#include "../ntstrsafe.h"
#include <stdarg.h>

#define WDK_PRINT static __inline__ __attribute__((unused))
WDK_PRINT int vsprintf(char *to, const char *format, __builtin_ms_va_list arguments) {
  return _vsnprintf(to, NTSTRSAFE_MAX_CCH, format, arguments);
}
WDK_PRINT int sprintf(char *to, const char *format, ...) {
  __builtin_ms_va_list arguments;
  int length;
  __builtin_ms_va_start(arguments, format);
  length = vsprintf(to, format, arguments);
  __builtin_ms_va_end(arguments);
  return length;
}
WDK_PRINT int _snprintf(char *to, size_t room, const char *format, ...) {
  __builtin_ms_va_list arguments;
  int length;
  __builtin_ms_va_start(arguments, format);
  length = _vsnprintf(to, room, format, arguments);
  __builtin_ms_va_end(arguments);
  return length;
}
WDK_PRINT int _snwprintf(WCHAR *to, size_t room, const WCHAR *format, ...) {
  __builtin_ms_va_list arguments;
  int length;
  __builtin_ms_va_start(arguments, format);
  length = _vsnwprintf(to, room, format, arguments);
  __builtin_ms_va_end(arguments);
  return length;
}
WDK_PRINT int swprintf(WCHAR *to, const WCHAR *format, ...) {
  __builtin_ms_va_list arguments;
  int length;
  __builtin_ms_va_start(arguments, format);
  length = _vsnwprintf(to, NTSTRSAFE_MAX_CCH, format, arguments);
  __builtin_ms_va_end(arguments);
  return length;
}
#undef WDK_PRINT

#endif
