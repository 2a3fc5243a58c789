/* The C library's string routines that every driver carries with it. Found by drivers only; what is not here is not there. */
#ifndef _WDK_CRT_STRING_H
#define _WDK_CRT_STRING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);
int strncmp(const char *left, const char *right, size_t count);
size_t wcslen(const wchar_t *text);

#ifdef __cplusplus
}
#endif

#endif
