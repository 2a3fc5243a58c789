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
  WDK_INLINE NTSTATUS RtlStringCchVPrintf##A(Character *pszDest, size_t cchDest, const Character *pszFormat, __builtin_ms_va_list argList) { \
    if (cchDest == 0 || cchDest > NTSTRSAFE_MAX_CCH) return STATUS_INVALID_PARAMETER;                                                        \
    return Print(pszDest, cchDest, pszFormat, argList) < 0 ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;                                        \
  }                                                                                                                                          \
  WDK_INLINE NTSTATUS RtlStringCbVPrintf##A(Character *pszDest, size_t cbDest, const Character *pszFormat, __builtin_ms_va_list argList) {   \
    return RtlStringCchVPrintf##A(pszDest, cbDest / sizeof(Character), pszFormat, argList);                                                  \
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

/* Formats into the string's own buffer. Room for a terminator is needed, although Length does not count it. */
static __inline__ __attribute__((unused)) NTSTATUS NTAPI RtlUnicodeStringPrintf(PUNICODE_STRING DestinationString, PCWSTR pszFormat, ...) {
  __builtin_ms_va_list arguments;
  NTSTATUS status;
  size_t length = 0;
  __builtin_ms_va_start(arguments, pszFormat);
  status = RtlStringCbVPrintfW(DestinationString->Buffer, DestinationString->MaximumLength, pszFormat, arguments);
  __builtin_ms_va_end(arguments);
  if (status != STATUS_INVALID_PARAMETER)
    (void)RtlStringCbLengthW(DestinationString->Buffer, DestinationString->MaximumLength, &length);
  DestinationString->Length = (USHORT)length;
  return status;
}

#ifdef __cplusplus
}
#endif

#endif
