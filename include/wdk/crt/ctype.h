/* Characters: ASCII only. */
#ifndef _WDK_CRT_CTYPE_H
#define _WDK_CRT_CTYPE_H

static __inline__ __attribute__((unused)) int isdigit(int c) { return c >= '0' && c <= '9'; }
static __inline__ __attribute__((unused)) int isupper(int c) { return c >= 'A' && c <= 'Z'; }
static __inline__ __attribute__((unused)) int islower(int c) { return c >= 'a' && c <= 'z'; }
static __inline__ __attribute__((unused)) int isalpha(int c) { return isupper(c) || islower(c); }
static __inline__ __attribute__((unused)) int isalnum(int c) { return isalpha(c) || isdigit(c); }
static __inline__ __attribute__((unused)) int isspace(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static __inline__ __attribute__((unused)) int isprint(int c) { return c >= ' ' && c <= '~'; }
static __inline__ __attribute__((unused)) int isxdigit(int c) { return isdigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static __inline__ __attribute__((unused)) int toupper(int c) { return islower(c) ? c - 0x20 : c; }
static __inline__ __attribute__((unused)) int tolower(int c) { return isupper(c) ? c + 0x20 : c; }

#endif
