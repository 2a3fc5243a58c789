/* Debug output and assertions. KdPrint and ASSERT exist in checked builds (DBG), as in the WDK; PAGED_CODE too. */
#ifndef _WDK_DEBUG_H
#define _WDK_DEBUG_H

#include "ke.h"

#ifndef DBG
#define DBG 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_MASK 0x80000000
#define DPFLTR_IHVVIDEO_ID 78
#define DPFLTR_IHVAUDIO_ID 79
#define DPFLTR_IHVNETWORK_ID 80
#define DPFLTR_IHVSTREAMING_ID 81
#define DPFLTR_IHVBUS_ID 82
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_DEFAULT_ID 101

/* At most 512 bytes a call, no floating point; wide-character conversions only at PASSIVE_LEVEL. */
NTSYSAPI ULONG NTAPI DbgPrint(_In_ PCSTR Format, ...);
NTSYSAPI ULONG NTAPI DbgPrintEx(_In_ ULONG ComponentId, _In_ ULONG Level, _In_ PCSTR Format, ...);
NTSYSAPI ULONG NTAPI vDbgPrintEx(_In_ ULONG ComponentId, _In_ ULONG Level, _In_ PCSTR Format, _In_ __builtin_ms_va_list arglist);
NTSYSAPI NTSTATUS NTAPI DbgQueryDebugFilterState(_In_ ULONG ComponentId, _In_ ULONG Level); /* TRUE: it would be shown */
NTSYSAPI VOID NTAPI DbgBreakPoint(VOID);
NTSYSAPI VOID NTAPI RtlAssert(_In_ PVOID VoidFailedAssertion, _In_ PVOID VoidFileName, _In_ ULONG LineNumber, _In_opt_ PSTR MutableMessage);

#define WDK_ASSERT(expression, message) \
  ((expression) ? (void)0 : RtlAssert((PVOID)(ULONG_PTR)#expression, (PVOID)(ULONG_PTR)__FILE__, __LINE__, (PSTR)(ULONG_PTR)(message)))
/* Ours: says that the code that follows is pageable. Above APC_LEVEL that is found in free builds of a driver too. */
_IRQL_requires_max_(APC_LEVEL) NTKERNELAPI VOID NTAPI KdpcPagedCode(VOID);

#if DBG
#define ASSERT(expression) WDK_ASSERT(expression, NULL)
#define ASSERTMSG(message, expression) WDK_ASSERT(expression, message)
#define NT_ASSERT(expression) WDK_ASSERT(expression, NULL)
#define NT_ASSERTMSG(message, expression) WDK_ASSERT(expression, message)
#define NT_VERIFY(expression) WDK_ASSERT(expression, NULL)
#define RTL_SOFT_ASSERT(expression) WDK_ASSERT(expression, NULL)
#define PAGED_CODE() WDK_ASSERT(KeGetCurrentIrql() <= APC_LEVEL, "pageable code above APC_LEVEL")
#define KdPrint(arguments) ((void)(DbgPrint arguments))
#define KdPrintEx(arguments) ((void)(DbgPrintEx arguments))
#define KdBreakPoint() DbgBreakPoint()
#else
#define ASSERT(expression) ((void)0)
#define ASSERTMSG(message, expression) ((void)0)
#define NT_ASSERT(expression) ((void)0)
#define NT_ASSERTMSG(message, expression) ((void)0)
#define NT_VERIFY(expression) ((void)(expression))
#define RTL_SOFT_ASSERT(expression) ((void)0)
#define PAGED_CODE() KdpcPagedCode()
#define KdPrint(arguments) ((void)0)
#define KdPrintEx(arguments) ((void)0)
#define KdBreakPoint() ((void)0)
#endif
#define PAGED_ASSERT(expression) NT_ASSERT(expression)
#define PAGED_CODE_LOCKED() ((void)0)

#ifdef __cplusplus
}
#endif

#endif
