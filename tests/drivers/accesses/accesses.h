/* What the driver `accesses` and its test know of each other. */
#ifndef ACCESSES_H
#define ACCESSES_H
#include <wdm.h>

#pragma pack(push, 1)
typedef struct _PACKED_PAIR {
  UCHAR First;
  ULONG Second;
} PACKED_PAIR;
#pragma pack(pop)

typedef struct _ACCESS_DATA {
  UCHAR Byte;
  USHORT Short;
  ULONG Long;
  ULONG64 Wide;
  volatile ULONG Flag;
  volatile LONG Count;
  volatile LONG64 Count64;
  volatile SHORT Count16;
  PVOID volatile Pointer;
  PACKED_PAIR Packed;
  UCHAR From[32];
  UCHAR To[32];
  KSPIN_LOCK Lock;
  DECLSPEC_ALIGN(16) ULONG64 Pair[2];
} ACCESS_DATA;

typedef VOID NTAPI ACCESS_ROUTINE(VOID);

typedef struct _ACCESS_TABLE {
  ACCESS_DATA* Data;
  UCHAR* Pages; /* three of them */
  LONG* Constructed;
  ACCESS_ROUTINE *Plain, *Volatile, *Unaligned, *Interlocked, *Wide, *Copies, *Strings, *LargeFill, *Locked, *Locals, *Escaping, *Work;
  LONG Wrong; /* the line of a result that is not right; 0: none */
} ACCESS_TABLE;

/* The test's: DriverEntry says where everything is. */
EXTERN_C NTKERNELAPI VOID NTAPI TestAccessTable(ACCESS_TABLE* Table);

#endif
