/* Numbers from text. There is no malloc in a driver: use the pool. */
#ifndef _WDK_CRT_STDLIB_H
#define _WDK_CRT_STDLIB_H

#include "ctype.h"
#include <stddef.h>

static __inline__ __attribute__((unused)) int abs(int number) { return number < 0 ? -number : number; }
static __inline__ __attribute__((unused)) long atol(const char *text) {
  long value = 0;
  int negative = 0;
  while (isspace(*text)) text++;
  if (*text == '-' || *text == '+') negative = *text++ == '-';
  while (isdigit(*text)) value = value * 10 + (*text++ - '0');
  return negative ? -value : value;
}
static __inline__ __attribute__((unused)) int atoi(const char *text) { return atol(text); }

#endif
