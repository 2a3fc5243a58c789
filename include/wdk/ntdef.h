/* The vocabulary of NT: integer types, strings, lists, status values, and the macros every driver is written with.
 *
 * Data model. For drivers (a *-windows-* target) long has 32 bits and these are the native types. For host code on Linux (LP64) LONG and ULONG
 * are int and unsigned int, so every structure has the same layout in both. WCHAR is always 16 bits: wchar_t or unsigned short in drivers,
 * char16_t in host C++ (write u"text"), unsigned short in host C.
 *
 * Calls. Everything the kernel exports and everything it calls back is NTAPI, the Win64 convention. Callback types are function typedefs;
 * pointers and arrays are always made from the typedef, because compilers drop the attribute from more complicated declarators. */
#ifndef _WDK_NTDEF_H
#define _WDK_NTDEF_H

#include <stddef.h>
#include "sal.h"

#if !defined(_AMD64_)
#define _AMD64_ 1
#endif

#define NTAPI __attribute__((ms_abi))
#define FASTCALL NTAPI
#define NTKERNELAPI __attribute__((visibility("default")))
#define NTSYSAPI NTKERNELAPI
#define NTHALAPI NTKERNELAPI
#define NTSYSCALLAPI NTKERNELAPI
#define DECLSPEC_IMPORT
#define DECLSPEC_EXPORT NTKERNELAPI
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_ALIGN(x) __attribute__((aligned(x)))
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_SELECTANY __attribute__((weak))
/* #pragma alloc_text and its kin are honoured: what they put into sections PAGE… is pageable. INIT is kept. */
#define ALLOC_PRAGMA 1
#define ALLOC_DATA_PRAGMA 1
#define POINTER_ALIGNMENT DECLSPEC_ALIGN(8)
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define MEMORY_ALLOCATION_ALIGNMENT 16
#if defined(_WIN32) && !defined(__cplusplus)
/* Microsoft's C keeps one mergeable copy of an inline function; C99 would ask for an extern one elsewhere. Static gives what drivers expect. */
#pragma clang diagnostic ignored "-Wduplicate-decl-specifier"
#define __inline static __inline__ __attribute__((unused))
#define __forceinline static __inline__ __attribute__((always_inline, unused))
#define FORCEINLINE __forceinline
#else
#define FORCEINLINE __inline__ __attribute__((always_inline))
#endif
#define CFORCEINLINE FORCEINLINE
#define WDK_INLINE static __inline__ __attribute__((always_inline, unused)) /* our own inline routines: never a symbol of their own */
#define UNALIGNED
#define RESTRICTED_POINTER
#define CONST const
#define VOID void

#ifdef __cplusplus
#define EXTERN_C extern "C"
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#define C_ASSERT(e) static_assert(e, #e)
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#define C_ASSERT(e) _Static_assert(e, #e)
#endif

#define TRUE 1
#define FALSE 0
#define UNREFERENCED_PARAMETER(P) ((void)(P))
#define DBG_UNREFERENCED_PARAMETER(P) ((void)(P))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(V) ((void)(V))
#define ARGUMENT_PRESENT(P) ((P) != NULL)
#define ARRAYSIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RTL_NUMBER_OF(a) ARRAYSIZE(a)
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (offsetof(type, field) + RTL_FIELD_SIZE(type, field))
#define RTL_CONTAINS_FIELD(Struct, Size, Field) ((((PCHAR)(&(Struct)->Field)) + sizeof((Struct)->Field)) <= (((PCHAR)(Struct)) + (Size)))
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG)offsetof(type, field))
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address) - (ULONG_PTR)offsetof(type, field)))
#define TYPE_ALIGNMENT(t) __alignof__(t)
#define ALIGN_DOWN_BY(length, alignment) ((ULONG_PTR)(length) & ~((ULONG_PTR)(alignment) - 1))
#define ALIGN_UP_BY(length, alignment) (ALIGN_DOWN_BY(((ULONG_PTR)(length) + (alignment) - 1), alignment))
#define ALIGN_DOWN(length, type) ALIGN_DOWN_BY(length, sizeof(type))
#define ALIGN_UP(length, type) ALIGN_UP_BY(length, sizeof(type))
#define ALIGN_DOWN_POINTER_BY(address, alignment) ((PVOID)ALIGN_DOWN_BY(address, alignment))
#define ALIGN_UP_POINTER_BY(address, alignment) ((PVOID)ALIGN_UP_BY(address, alignment))
#define MAXUCHAR 0xff
#define MAXUSHORT 0xffff
#define MAXLONG 0x7fffffff
#define MINLONG 0x80000000
#define MAXULONG 0xffffffff
#define MAXLONGLONG 0x7fffffffffffffffLL
#define MAXULONG_PTR (~(ULONG_PTR)0)
#define ANYSIZE_ARRAY 1
#define UNICODE_NULL ((WCHAR)0)
#define ANSI_NULL ((CHAR)0)
#define FlagOn(flags, bit) ((flags) & (bit))
#define SetFlag(flags, bit) ((flags) |= (bit))
#define ClearFlag(flags, bit) ((flags) &= ~(bit))

#ifdef __cplusplus
extern "C" {
#endif

typedef char CHAR, CCHAR, *PCHAR, *PSTR, *PCCHAR;
typedef const char *PCSTR, *PCSZ, *LPCSTR;
typedef signed char SCHAR, INT8, *PSCHAR;
typedef unsigned char UCHAR, UINT8, BYTE, BOOLEAN, *PUCHAR, *PBYTE, *PBOOLEAN;
typedef short SHORT, CSHORT, INT16, *PSHORT;
typedef unsigned short USHORT, UINT16, WORD, *PUSHORT;
typedef int INT, INT32, *PINT;
typedef unsigned int UINT, UINT32, *PUINT, *PUINT32;
#if __SIZEOF_LONG__ == 4
typedef long LONG, LONG32, HRESULT, *PLONG;
typedef unsigned long ULONG, DWORD, ULONG32, *PULONG, *PDWORD, *PULONG32;
#else
typedef int LONG, LONG32, HRESULT, *PLONG;
typedef unsigned int ULONG, DWORD, ULONG32, *PULONG, *PDWORD, *PULONG32;
#endif
typedef int BOOL, *PBOOL;
typedef long long LONGLONG, LONG64, INT64, LONG_PTR, INT_PTR, SSIZE_T, *PLONGLONG, *PLONG64, *PINT64, *PLONG_PTR;
typedef unsigned long long ULONGLONG, ULONG64, UINT64, DWORD64, ULONG_PTR, UINT_PTR, DWORD_PTR, SIZE_T;
typedef ULONGLONG *PULONGLONG, *PULONG64, *PUINT64, *PULONG_PTR, *PSIZE_T;
typedef void *PVOID, *HANDLE, **PHANDLE, *PVOID64;
typedef const void *PCVOID;
typedef double DOUBLE;

#if defined(_WIN32) /* wchar_t has 16 bits: L"text" */
typedef wchar_t WCHAR;
#elif defined(__cplusplus)
typedef char16_t WCHAR;
#else
typedef unsigned short WCHAR;
#endif
typedef WCHAR *PWCHAR, *PWSTR, *PWCH, *LPWSTR, *PZZWSTR;
typedef const WCHAR *PCWSTR, *PCWCH, *LPCWSTR;

typedef LONG NTSTATUS, *PNTSTATUS;
typedef UCHAR KIRQL, *PKIRQL;
typedef CCHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;
typedef ULONG_PTR KAFFINITY, *PKAFFINITY;
typedef ULONG_PTR PFN_NUMBER, *PPFN_NUMBER;
typedef ULONG LOGICAL, *PLOGICAL, LCID, DEVICE_TYPE, ACCESS_MASK, *PACCESS_MASK;
typedef PVOID PSECURITY_DESCRIPTOR, PSID;
typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;

#define NT_SUCCESS(Status) (((NTSTATUS)(Status)) >= 0)
#define NT_INFORMATION(Status) ((((ULONG)(Status)) >> 30) == 1)
#define NT_WARNING(Status) ((((ULONG)(Status)) >> 30) == 2)
#define NT_ERROR(Status) ((((ULONG)(Status)) >> 30) == 3)

typedef union _LARGE_INTEGER {
  struct {
    ULONG LowPart;
    LONG HighPart;
  };
  struct {
    ULONG LowPart;
    LONG HighPart;
  } u;
  LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
  struct {
    ULONG LowPart;
    ULONG HighPart;
  };
  struct {
    ULONG LowPart;
    ULONG HighPart;
  } u;
  ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _LUID {
  ULONG LowPart;
  LONG HighPart;
} LUID, *PLUID;

/* Counted strings: Length and MaximumLength are in bytes, Length excludes any terminator. */
typedef struct _UNICODE_STRING {
  USHORT Length;
  USHORT MaximumLength;
  PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
  USHORT Length;
  USHORT MaximumLength;
  PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING, OEM_STRING, *POEM_STRING;
typedef const STRING *PCANSI_STRING, *PCSTRING, *PCOEM_STRING;

#define RTL_CONSTANT_STRING(s) {sizeof(s) - sizeof((s)[0]), sizeof(s), (s)}
#define DECLARE_CONST_UNICODE_STRING(_var, _string) \
  const WCHAR _var##_buffer[] = _string;            \
  const UNICODE_STRING _var = {sizeof(_string) - sizeof(WCHAR), sizeof(_string), (PWCH)_var##_buffer}
#define DECLARE_UNICODE_STRING_SIZE(_var, _size) \
  WCHAR _var##_buffer[_size];                    \
  UNICODE_STRING _var = {0, (_size) * sizeof(WCHAR), _var##_buffer}

typedef struct _LIST_ENTRY {
  struct _LIST_ENTRY *Flink;
  struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY, *PRLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
  struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _PROCESSOR_NUMBER {
  USHORT Group;
  UCHAR Number;
  UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
  KAFFINITY Mask;
  USHORT Group;
  USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

typedef struct _OBJECT_ATTRIBUTES {
  ULONG Length;
  HANDLE RootDirectory;
  PUNICODE_STRING ObjectName;
  ULONG Attributes;
  PVOID SecurityDescriptor;
  PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

#define OBJ_INHERIT 0x00000002
#define OBJ_PERMANENT 0x00000010
#define OBJ_EXCLUSIVE 0x00000020
#define OBJ_CASE_INSENSITIVE 0x00000040
#define OBJ_OPENIF 0x00000080
#define OBJ_KERNEL_HANDLE 0x00000200
#define InitializeObjectAttributes(p, n, a, r, s)   \
  do {                                              \
    (p)->Length = sizeof(OBJECT_ATTRIBUTES);        \
    (p)->RootDirectory = (r);                       \
    (p)->Attributes = (a);                          \
    (p)->ObjectName = (n);                          \
    (p)->SecurityDescriptor = (s);                  \
    (p)->SecurityQualityOfService = NULL;           \
  } while (0)

typedef struct _CLIENT_ID {
  HANDLE UniqueProcess;
  HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

#ifdef __cplusplus
}
#endif

#include "guiddef.h"

#endif
