// What a driver's code calls without saying so, and the few C functions WDK drivers call by name. Linked into every .drv and hidden there:
// these names exist in the host's C library too, with another calling convention.
//
// Compiled for the drivers' own target (32-bit long, Win64 calls), without instrumentation.

typedef unsigned long long size_type;
typedef unsigned short wide;

#ifndef KDPC_WORLD_BASE
#define KDPC_WORLD_BASE "0x400000000000"  // src/base/fixed_places.h
#endif

// Every edge of driver code passes here. The first word of the World counts down to the next event; at zero the machine's
// KdpcEdge() decides what happens. It is reached by a jump: to it, the driver's edge is the caller. On the live machine a signal may come anywhere, and whoever
// looks for the driver's frames then has to get past this one.
__asm__(
    ".text\n"
    ".globl __sanitizer_cov_trace_pc\n"
    ".type __sanitizer_cov_trace_pc, @function\n"
    "__sanitizer_cov_trace_pc:\n"
    "  .cfi_startproc\n"
    "  movabsq $" KDPC_WORLD_BASE ", %rax\n"
    "  decq (%rax)\n"
    "  js KdpcEdge@PLT\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size __sanitizer_cov_trace_pc, . - __sanitizer_cov_trace_pc\n");

// Frames of more than a page touch each page in order, so that a guard page is met. Takes the size in rax, changes no register.
__asm__(
    ".text\n"
    ".globl ___chkstk_ms\n"
    ".type ___chkstk_ms, @function\n"
    "___chkstk_ms:\n"
    "  .cfi_startproc\n"
    "  pushq %rcx\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  pushq %rax\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  cmpq $0x1000, %rax\n"
    "  leaq 24(%rsp), %rcx\n"
    "  jb 2f\n"
    "1:\n"
    "  subq $0x1000, %rcx\n"
    "  orl $0, (%rcx)\n"
    "  subq $0x1000, %rax\n"
    "  cmpq $0x1000, %rax\n"
    "  ja 1b\n"
    "2:\n"
    "  subq %rax, %rcx\n"
    "  orl $0, (%rcx)\n"
    "  popq %rax\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  popq %rcx\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size ___chkstk_ms, . - ___chkstk_ms\n");

// Check variants have their own of these four, which say what they read and write (drvcrt_check.c) and then call these by their other names. What calls
// one here means the other name: the driver has not called it.
#define UNLESS_CHECKED __attribute__((weak))
#define ALSO(name) __attribute__((visibility("hidden"), alias(#name)))

UNLESS_CHECKED void* memcpy(void* to, const void* from, size_type count) {
  void* result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  return result;
}
void* kdpc_copy(void* to, const void* from, size_type count) ALSO(memcpy);

UNLESS_CHECKED void* memmove(void* to, const void* from, size_type count) {
  if ((size_type)to - (size_type)from >= count) return kdpc_copy(to, from, count);  // forward is safe unless `to` lies within the source
  unsigned char* target = to;
  const unsigned char* source = from;
  while (count--) target[count] = source[count];
  return to;
}
void* kdpc_move(void* to, const void* from, size_type count) ALSO(memmove);

UNLESS_CHECKED void* memset(void* to, int value, size_type count) {
  void* result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
  return result;
}
void* kdpc_fill(void* to, int value, size_type count) ALSO(memset);

UNLESS_CHECKED int memcmp(const void* left, const void* right, size_type count) {
  const unsigned char *a = left, *b = right;
  for (; count; --count, ++a, ++b)
    if (*a != *b) return *a < *b ? -1 : 1;
  return 0;
}
int kdpc_compare(const void* left, const void* right, size_type count) ALSO(memcmp);

size_type strlen(const char* text) {
  size_type length = 0;
  while (text[length]) ++length;
  return length;
}

int strncmp(const char* left, const char* right, size_type count) {
  for (; count; --count, ++left, ++right) {
    if (*left != *right) return (unsigned char)*left < (unsigned char)*right ? -1 : 1;
    if (!*left) break;
  }
  return 0;
}

int strcmp(const char* left, const char* right) { return strncmp(left, right, ~(size_type)0); }

size_type wcslen(const wide* text) {
  size_type length = 0;
  while (text[length]) ++length;
  return length;
}

size_type strnlen(const char* text, size_type most) {
  size_type length = 0;
  while (length < most && text[length]) ++length;
  return length;
}

void* memchr(const void* text, int value, size_type count) {
  const unsigned char* at = text;
  for (; count; --count, ++at)
    if (*at == (unsigned char)value) return (void*)at;
  return 0;
}

/* The same routines for both widths. Case folds for ASCII letters. */
#define STRING_ROUTINES(Character, compare_in, compare_i, copy, copy_n, append, find, find_last, find_part)  \
  static int compare_in##_fold(Character c) { return c >= 'A' && c <= 'Z' ? c + 0x20 : c; }                             \
  int compare_in(const Character* left, const Character* right, size_type count) {                                      \
    for (; count; --count, ++left, ++right) {                                                                            \
      const int a = compare_in##_fold(*left), b = compare_in##_fold(*right);                                             \
      if (a != b) return a < b ? -1 : 1;                                                                                 \
      if (!*left) break;                                                                                                 \
    }                                                                                                                    \
    return 0;                                                                                                            \
  }                                                                                                                      \
  int compare_i(const Character* left, const Character* right) { return compare_in(left, right, ~(size_type)0); }        \
  Character* copy(Character* to, const Character* from) {                                                                \
    Character* at = to;                                                                                                  \
    while ((*at++ = *from++)) {                                                                                          \
    }                                                                                                                    \
    return to;                                                                                                           \
  }                                                                                                                      \
  Character* copy_n(Character* to, const Character* from, size_type count) {                                             \
    size_type i = 0;                                                                                                     \
    for (; i < count && from[i]; ++i) to[i] = from[i];                                                                   \
    for (; i < count; ++i) to[i] = 0;                                                                                    \
    return to;                                                                                                           \
  }                                                                                                                      \
  Character* append(Character* to, const Character* from) {                                                              \
    Character* at = to;                                                                                                  \
    while (*at) ++at;                                                                                                    \
    copy(at, from);                                                                                                      \
    return to;                                                                                                           \
  }                                                                                                                      \
  Character* find_last(const Character* text, int value) {                                                               \
    const Character* found = 0;                                                                                          \
    for (;; ++text) {                                                                                                    \
      if (*text == (Character)value) found = text;                                                                       \
      if (!*text) return (Character*)found;                                                                              \
    }                                                                                                                    \
  }                                                                                                                      \
  Character* find(const Character* text, int value) {                                                                    \
    for (;; ++text) {                                                                                                    \
      if (*text == (Character)value) return (Character*)text;                                                            \
      if (!*text) return 0;                                                                                              \
    }                                                                                                                    \
  }                                                                                                                      \
  Character* find_part(const Character* text, const Character* part) {                                                   \
    for (;; ++text) {                                                                                                    \
      size_type i = 0;                                                                                                   \
      while (part[i] && text[i] == part[i]) ++i;                                                                         \
      if (!part[i]) return (Character*)text;                                                                             \
      if (!*text) return 0;                                                                                              \
    }                                                                                                                    \
  }

STRING_ROUTINES(char, _strnicmp, _stricmp, strcpy, strncpy, strcat, strchr, strrchr, strstr)
STRING_ROUTINES(wide, _wcsnicmp, _wcsicmp, wcscpy, wcsncpy, wcscat, wcschr, wcsrchr, wcsstr)

char* strncat(char* to, const char* from, size_type count) {
  const size_type length = strnlen(from, count);
  char* end = to + strlen(to);
  kdpc_copy(end, from, length);
  end[length] = 0;
  return to;
}

size_type wcsnlen(const wide* text, size_type most) {
  size_type length = 0;
  while (length < most && text[length]) ++length;
  return length;
}

int wcsncmp(const wide* left, const wide* right, size_type count) {
  for (; count; --count, ++left, ++right) {
    if (*left != *right) return *left < *right ? -1 : 1;
    if (!*left) break;
  }
  return 0;
}

int wcscmp(const wide* left, const wide* right) { return wcsncmp(left, right, ~(size_type)0); }
