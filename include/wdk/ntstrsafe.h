/* Strings that end where their buffer ends. Cb counts bytes, Cch characters; both include the terminator, which is always written.
 *
 * STATUS_BUFFER_OVERFLOW: the text was cut. STATUS_INVALID_PARAMETER: no room at all, or a length beyond NTSTRSAFE_MAX_CCH.
 * The wide forms, and conversions of wide text, are for PASSIVE_LEVEL. */
#ifndef _WDK_NTSTRSAFE_H
#define _WDK_NTSTRSAFE_H

#include "ntdef.h"
#include "ntstatus.h"
#include "nt/rtl.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NTSTRSAFE_MAX_CCH 2147483647
#define NTSTRSAFE_MAX_LENGTH (NTSTRSAFE_MAX_CCH - 1)
#define STRSAFE_MAX_CCH NTSTRSAFE_MAX_CCH

/* Of the Ex forms. The lowest byte is what FILL_… fills with. */
#define STRSAFE_IGNORE_NULLS 0x00000100     /* a null pointer is an empty text */
#define STRSAFE_FILL_BEHIND_NULL 0x00000200 /* what is behind the terminator is filled */
#define STRSAFE_FILL_ON_FAILURE 0x00000400  /* after a failure the whole buffer is filled */
#define STRSAFE_NULL_ON_FAILURE 0x00000800  /* after a failure the text is empty */
#define STRSAFE_NO_TRUNCATION 0x00001000    /* what would be cut is not written at all */
#define STRSAFE_FILL_ON_FAILURE_BYTE(x) ((ULONG)((x & 0xFF) | STRSAFE_FILL_ON_FAILURE))
#define STRSAFE_FILL_BEHIND(x) ((ULONG)((x & 0xFF) | STRSAFE_FILL_BEHIND_NULL))
#define NTSTRSAFE_UNICODE_STRING_MAX_CCH (0xffff / sizeof(WCHAR))
typedef PSTR NTSTRSAFE_PSTR;
typedef PCSTR NTSTRSAFE_PCSTR;
typedef PWSTR NTSTRSAFE_PWSTR;
typedef PCWSTR NTSTRSAFE_PCWSTR;

NTSYSAPI int NTAPI _vsnprintf(char *buffer, size_t count, const char *format, __builtin_ms_va_list arguments);
NTSYSAPI int NTAPI _vsnwprintf(WCHAR *buffer, size_t count, const WCHAR *format, __builtin_ms_va_list arguments);

#define WDK_STRSAFE(A, Character, Print)                                                                                                     \
  WDK_INLINE NTSTATUS RtlStringCchLength##A(const Character *psz, size_t cchMax, size_t *pcchLength) {                                       \
    size_t length = 0;                                                                                                                       \
    if (psz == NULL || cchMax > NTSTRSAFE_MAX_CCH) return STATUS_INVALID_PARAMETER;                                                          \
    while (length < cchMax && psz[length] != 0) length++;                                                                                    \
    if (pcchLength != NULL) *pcchLength = length < cchMax ? length : 0;                                                                      \
    return length < cchMax ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;                                                                      \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbLength##A(const Character *psz, size_t cbMax, size_t *pcbLength) {                                          \
    size_t length = 0;                                                                                                                       \
    NTSTATUS status = RtlStringCchLength##A(psz, cbMax / sizeof(Character), &length);                                                        \
    if (pcbLength != NULL) *pcbLength = length * sizeof(Character);                                                                          \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCopyN##A(Character *pszDest, size_t cchDest, const Character *pszSrc, size_t cchToCopy) {                  \
    size_t i = 0;                                                                                                                            \
    if (cchDest == 0 || cchDest > NTSTRSAFE_MAX_CCH) return STATUS_INVALID_PARAMETER;                                                        \
    for (; i + 1 < cchDest && i < cchToCopy && pszSrc[i] != 0; i++) pszDest[i] = pszSrc[i];                                                  \
    pszDest[i] = 0;                                                                                                                          \
    return i == cchToCopy || pszSrc[i] == 0 ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;                                                       \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCopy##A(Character *pszDest, size_t cchDest, const Character *pszSrc) {                                     \
    return RtlStringCchCopyN##A(pszDest, cchDest, pszSrc, NTSTRSAFE_MAX_CCH);                                                                \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCopy##A(Character *pszDest, size_t cbDest, const Character *pszSrc) {                                       \
    return RtlStringCchCopy##A(pszDest, cbDest / sizeof(Character), pszSrc);                                                                 \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCopyN##A(Character *pszDest, size_t cbDest, const Character *pszSrc, size_t cbToCopy) {                     \
    return RtlStringCchCopyN##A(pszDest, cbDest / sizeof(Character), pszSrc, cbToCopy / sizeof(Character));                                  \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCat##A(Character *pszDest, size_t cchDest, const Character *pszSrc) {                                      \
    size_t length = 0;                                                                                                                       \
    NTSTATUS status = RtlStringCchLength##A(pszDest, cchDest, &length);                                                                      \
    return NT_SUCCESS(status) ? RtlStringCchCopy##A(pszDest + length, cchDest - length, pszSrc) : status;                                    \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCat##A(Character *pszDest, size_t cbDest, const Character *pszSrc) {                                        \
    return RtlStringCchCat##A(pszDest, cbDest / sizeof(Character), pszSrc);                                                                  \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCatN##A(Character *pszDest, size_t cchDest, const Character *pszSrc, size_t cchToAppend) {                 \
    size_t length = 0;                                                                                                                       \
    NTSTATUS status = RtlStringCchLength##A(pszDest, cchDest, &length);                                                                      \
    return NT_SUCCESS(status) ? RtlStringCchCopyN##A(pszDest + length, cchDest - length, pszSrc, cchToAppend) : status;                      \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCatN##A(Character *pszDest, size_t cbDest, const Character *pszSrc, size_t cbToAppend) {                    \
    return RtlStringCchCatN##A(pszDest, cbDest / sizeof(Character), pszSrc, cbToAppend / sizeof(Character));                                 \
  }                                                                                                                                          \
  /* What the flags of an Ex form ask for when `status` is known; `kept`: the length of the text before. */                                  \
  WDK_INLINE NTSTATUS wdk_strsafe_end##A(Character *dest, size_t room, size_t kept, Character **end, size_t *left, ULONG flags,              \
                                         NTSTATUS status) {                                                                                  \
    size_t length = 0, i;                                                                                                                    \
    if (dest != NULL && room != 0 && status != STATUS_INVALID_PARAMETER) {                                                                   \
      if (!NT_SUCCESS(status) && (flags & STRSAFE_NO_TRUNCATION) != 0) dest[kept] = 0;                                                       \
      if (!NT_SUCCESS(status) && (flags & STRSAFE_FILL_ON_FAILURE) != 0) {                                                                   \
        __builtin_memset(dest, (int)(flags & 0xFF), room * sizeof(Character));                                                               \
        dest[(flags & 0xFF) == 0 ? 0 : room - 1] = 0;                                                                                        \
      }                                                                                                                                      \
      if (!NT_SUCCESS(status) && (flags & STRSAFE_NULL_ON_FAILURE) != 0) dest[0] = 0;                                                        \
      while (length < room && dest[length] != 0) length++;                                                                                   \
      if (NT_SUCCESS(status) && (flags & STRSAFE_FILL_BEHIND_NULL) != 0)                                                                     \
        for (i = (length + 1) * sizeof(Character); i < room * sizeof(Character); i++) ((UCHAR *)dest)[i] = (UCHAR)(flags & 0xFF);            \
    }                                                                                                                                        \
    if (end != NULL) *end = dest != NULL ? dest + length : NULL;                                                                             \
    if (left != NULL) *left = room - length;                                                                                                 \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCopyNEx##A(Character *pszDest, size_t cchDest, const Character *pszSrc, size_t cchToCopy,                  \
                                             Character **ppszDestEnd, size_t *pcchRemaining, ULONG dwFlags) {                                \
    static const Character empty[1] = {0};                                                                                                   \
    if (pszSrc == NULL && (dwFlags & STRSAFE_IGNORE_NULLS) != 0) pszSrc = empty;                                                             \
    return wdk_strsafe_end##A(pszDest, cchDest, 0, ppszDestEnd, pcchRemaining, dwFlags,                                                      \
                              RtlStringCchCopyN##A(pszDest, cchDest, pszSrc, cchToCopy));                                                    \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCopyEx##A(Character *pszDest, size_t cchDest, const Character *pszSrc, Character **ppszDestEnd,            \
                                            size_t *pcchRemaining, ULONG dwFlags) {                                                          \
    return RtlStringCchCopyNEx##A(pszDest, cchDest, pszSrc, NTSTRSAFE_MAX_CCH, ppszDestEnd, pcchRemaining, dwFlags);                         \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCopyEx##A(Character *pszDest, size_t cbDest, const Character *pszSrc, Character **ppszDestEnd,              \
                                           size_t *pcbRemaining, ULONG dwFlags) {                                                            \
    size_t left = 0;                                                                                                                         \
    NTSTATUS status = RtlStringCchCopyEx##A(pszDest, cbDest / sizeof(Character), pszSrc, ppszDestEnd, &left, dwFlags);                       \
    if (pcbRemaining != NULL) *pcbRemaining = left * sizeof(Character) + cbDest % sizeof(Character);                                         \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCatNEx##A(Character *pszDest, size_t cchDest, const Character *pszSrc, size_t cchToAppend,                 \
                                            Character **ppszDestEnd, size_t *pcchRemaining, ULONG dwFlags) {                                 \
    static const Character empty[1] = {0};                                                                                                   \
    size_t kept = 0;                                                                                                                         \
    if (pszSrc == NULL && (dwFlags & STRSAFE_IGNORE_NULLS) != 0) pszSrc = empty;                                                             \
    (void)RtlStringCchLength##A(pszDest, cchDest, &kept);                                                                                    \
    return wdk_strsafe_end##A(pszDest, cchDest, kept, ppszDestEnd, pcchRemaining, dwFlags,                                                   \
                              RtlStringCchCatN##A(pszDest, cchDest, pszSrc, cchToAppend));                                                   \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchCatEx##A(Character *pszDest, size_t cchDest, const Character *pszSrc, Character **ppszDestEnd,             \
                                           size_t *pcchRemaining, ULONG dwFlags) {                                                           \
    return RtlStringCchCatNEx##A(pszDest, cchDest, pszSrc, NTSTRSAFE_MAX_CCH, ppszDestEnd, pcchRemaining, dwFlags);                          \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbCatEx##A(Character *pszDest, size_t cbDest, const Character *pszSrc, Character **ppszDestEnd,               \
                                          size_t *pcbRemaining, ULONG dwFlags) {                                                             \
    size_t left = 0;                                                                                                                         \
    NTSTATUS status = RtlStringCchCatEx##A(pszDest, cbDest / sizeof(Character), pszSrc, ppszDestEnd, &left, dwFlags);                        \
    if (pcbRemaining != NULL) *pcbRemaining = left * sizeof(Character) + cbDest % sizeof(Character);                                         \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchVPrintf##A(Character *pszDest, size_t cchDest, const Character *pszFormat, __builtin_ms_va_list argList) { \
    if (cchDest == 0 || cchDest > NTSTRSAFE_MAX_CCH) return STATUS_INVALID_PARAMETER;                                                        \
    return Print(pszDest, cchDest, pszFormat, argList) < 0 ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;                                        \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbVPrintf##A(Character *pszDest, size_t cbDest, const Character *pszFormat, __builtin_ms_va_list argList) {   \
    return RtlStringCchVPrintf##A(pszDest, cbDest / sizeof(Character), pszFormat, argList);                                                  \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCchVPrintfEx##A(Character *pszDest, size_t cchDest, Character **ppszDestEnd, size_t *pcchRemaining,           \
                                               ULONG dwFlags, const Character *pszFormat, __builtin_ms_va_list argList) {                    \
    return wdk_strsafe_end##A(pszDest, cchDest, 0, ppszDestEnd, pcchRemaining, dwFlags,                                                      \
                              RtlStringCchVPrintf##A(pszDest, cchDest, pszFormat, argList));                                                 \
  }                                                                                                                                          \
  static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlStringCchPrintfEx##A(                                                          \
      Character *pszDest, size_t cchDest, Character **ppszDestEnd, size_t *pcchRemaining, ULONG dwFlags, const Character *pszFormat, ...) {  \
    NTSTATUS status;                                                                                                                         \
    __builtin_ms_va_list arguments;                                                                                                          \
    __builtin_ms_va_start(arguments, pszFormat);                                                                                             \
    status = RtlStringCchVPrintfEx##A(pszDest, cchDest, ppszDestEnd, pcchRemaining, dwFlags, pszFormat, arguments);                          \
    __builtin_ms_va_end(arguments);                                                                                                          \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlStringCbPrintfEx##A(                                                           \
      Character *pszDest, size_t cbDest, Character **ppszDestEnd, size_t *pcbRemaining, ULONG dwFlags, const Character *pszFormat, ...) {    \
    NTSTATUS status;                                                                                                                         \
    size_t left = 0;                                                                                                                         \
    __builtin_ms_va_list arguments;                                                                                                          \
    __builtin_ms_va_start(arguments, pszFormat);                                                                                             \
    status = RtlStringCchVPrintfEx##A(pszDest, cbDest / sizeof(Character), ppszDestEnd, &left, dwFlags, pszFormat, arguments);               \
    __builtin_ms_va_end(arguments);                                                                                                          \
    if (pcbRemaining != NULL) *pcbRemaining = left * sizeof(Character) + cbDest % sizeof(Character);                                         \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlStringCchPrintf##A(Character *pszDest, size_t cchDest,                         \
                                                                                 const Character *pszFormat, ...) {                          \
    NTSTATUS status;                                                                                                                         \
    __builtin_ms_va_list arguments;                                                                                                          \
    __builtin_ms_va_start(arguments, pszFormat);                                                                                             \
    status = RtlStringCchVPrintf##A(pszDest, cchDest, pszFormat, arguments);                                                                 \
    __builtin_ms_va_end(arguments);                                                                                                          \
    return status;                                                                                                                           \
  }                                                                                                                                          \
  static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlStringCbPrintf##A(Character *pszDest, size_t cbDest,                           \
                                                                                const Character *pszFormat, ...) {                           \
    NTSTATUS status;                                                                                                                         \
    __builtin_ms_va_list arguments;                                                                                                          \
    __builtin_ms_va_start(arguments, pszFormat);                                                                                             \
    status = RtlStringCchVPrintf##A(pszDest, cbDest / sizeof(Character), pszFormat, arguments);                                              \
    __builtin_ms_va_end(arguments);                                                                                                          \
    return status;                                                                                                                           \
  }

WDK_STRSAFE(A, CHAR, _vsnprintf)
WDK_STRSAFE(W, WCHAR, _vsnwprintf)
#undef WDK_STRSAFE

/* Like RtlInitUnicodeString, but too long a text is refused. */
WDK_INLINE NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING DestinationString, PCWSTR pszSrc) {
  size_t length = 0;
  DestinationString->Length = DestinationString->MaximumLength = 0;
  DestinationString->Buffer = NULL;
  if (pszSrc == NULL) return STATUS_SUCCESS;
  if (!NT_SUCCESS(RtlStringCchLengthW(pszSrc, NTSTRSAFE_UNICODE_STRING_MAX_CCH, &length))) return STATUS_INVALID_PARAMETER;
  DestinationString->Length = (USHORT)(length * sizeof(WCHAR));
  DestinationString->MaximumLength = (USHORT)((length + 1) * sizeof(WCHAR));
  DestinationString->Buffer = (PWCH)(ULONG_PTR)pszSrc;
  return STATUS_SUCCESS;
}

/* Counted strings. Their lengths must be even and fit into their buffers; else STATUS_INVALID_PARAMETER. A terminator is neither needed nor written. */
WDK_INLINE NTSTATUS RtlUnicodeStringValidate(PCUNICODE_STRING SourceString) {
  if (SourceString == NULL || SourceString->Length % sizeof(WCHAR) != 0 || SourceString->MaximumLength % sizeof(WCHAR) != 0 ||
      SourceString->Length > SourceString->MaximumLength || (SourceString->Buffer == NULL && SourceString->MaximumLength != 0))
    return STATUS_INVALID_PARAMETER;
  return STATUS_SUCCESS;
}
WDK_INLINE NTSTATUS RtlUnicodeStringLength(PCUNICODE_STRING SourceString, size_t *pcbLength) {
  NTSTATUS status = RtlUnicodeStringValidate(SourceString);
  if (NT_SUCCESS(status) && pcbLength != NULL) *pcbLength = SourceString->Length;
  return status;
}
/* Puts at most `count` characters behind the first `kept` of the destination. */
WDK_INLINE NTSTATUS wdk_unicode_put(PUNICODE_STRING destination, size_t kept, PCWSTR source, size_t count, BOOLEAN counted) {
  const size_t room = destination->MaximumLength / sizeof(WCHAR);
  size_t i = 0;
  if (!NT_SUCCESS(RtlUnicodeStringValidate(destination)) || (source == NULL && counted && count != 0)) return STATUS_INVALID_PARAMETER;
  for (; kept + i < room && i < count && (counted || source[i] != 0); i++) destination->Buffer[kept + i] = source[i];
  destination->Length = (USHORT)((kept + i) * sizeof(WCHAR));
  return i == count || (!counted && source[i] == 0) ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;
}
WDK_INLINE NTSTATUS RtlUnicodeStringCopyString(PUNICODE_STRING DestinationString, PCWSTR pszSrc) {
  return wdk_unicode_put(DestinationString, 0, pszSrc, NTSTRSAFE_UNICODE_STRING_MAX_CCH, FALSE);
}
WDK_INLINE NTSTATUS RtlUnicodeStringCchCopyStringN(PUNICODE_STRING DestinationString, PCWSTR pszSrc, size_t cchToCopy) {
  return wdk_unicode_put(DestinationString, 0, pszSrc, cchToCopy, FALSE);
}
WDK_INLINE NTSTATUS RtlUnicodeStringCbCopyStringN(PUNICODE_STRING DestinationString, PCWSTR pszSrc, size_t cbToCopy) {
  return wdk_unicode_put(DestinationString, 0, pszSrc, cbToCopy / sizeof(WCHAR), FALSE);
}
WDK_INLINE NTSTATUS RtlUnicodeStringCopy(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
  if (!NT_SUCCESS(RtlUnicodeStringValidate(SourceString))) return STATUS_INVALID_PARAMETER;
  return wdk_unicode_put(DestinationString, 0, SourceString->Buffer, SourceString->Length / sizeof(WCHAR), TRUE);
}
WDK_INLINE NTSTATUS RtlUnicodeStringCatString(PUNICODE_STRING DestinationString, PCWSTR pszSrc) {
  return wdk_unicode_put(DestinationString, DestinationString->Length / sizeof(WCHAR), pszSrc, NTSTRSAFE_UNICODE_STRING_MAX_CCH, FALSE);
}
WDK_INLINE NTSTATUS RtlUnicodeStringCat(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
  if (!NT_SUCCESS(RtlUnicodeStringValidate(SourceString))) return STATUS_INVALID_PARAMETER;
  return wdk_unicode_put(DestinationString, DestinationString->Length / sizeof(WCHAR), SourceString->Buffer, SourceString->Length / sizeof(WCHAR), TRUE);
}
WDK_INLINE NTSTATUS RtlStringCchCopyUnicodeString(PWSTR pszDest, size_t cchDest, PCUNICODE_STRING SourceString) {
  if (!NT_SUCCESS(RtlUnicodeStringValidate(SourceString))) return STATUS_INVALID_PARAMETER;
  return RtlStringCchCopyNW(pszDest, cchDest, SourceString->Buffer, SourceString->Length / sizeof(WCHAR));
}
WDK_INLINE NTSTATUS RtlStringCbCopyUnicodeString(PWSTR pszDest, size_t cbDest, PCUNICODE_STRING SourceString) {
  return RtlStringCchCopyUnicodeString(pszDest, cbDest / sizeof(WCHAR), SourceString);
}

/* Formats into the string's own buffer. Room for a terminator is needed, although Length does not count it. */
WDK_INLINE NTSTATUS RtlUnicodeStringVPrintf(PUNICODE_STRING DestinationString, PCWSTR pszFormat, __builtin_ms_va_list argList) {
  size_t length = 0;
  NTSTATUS status = RtlStringCbVPrintfW(DestinationString->Buffer, DestinationString->MaximumLength, pszFormat, argList);
  if (status != STATUS_INVALID_PARAMETER) (void)RtlStringCbLengthW(DestinationString->Buffer, DestinationString->MaximumLength, &length);
  DestinationString->Length = (USHORT)length;
  return status;
}
static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlUnicodeStringPrintf(PUNICODE_STRING DestinationString, PCWSTR pszFormat, ...) {
  __builtin_ms_va_list arguments;
  NTSTATUS status;
  __builtin_ms_va_start(arguments, pszFormat);
  status = RtlUnicodeStringVPrintf(DestinationString, pszFormat, arguments);
  __builtin_ms_va_end(arguments);
  return status;
}

#ifdef __cplusplus
}
#endif

#endif
