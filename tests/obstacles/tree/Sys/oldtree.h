#pragma once
#include <NTDDK.H>
#include <NtStrSafe.h>
#include <WdmSec.h>
#include <DontUse.h>
#include <DriverSpecs.h>
#include <DevIoCtl.h>

#include "..\INC\public.h"
#include "shared\types.h"
#include "Trace.h"
#include "oldlog.h"

#define OLDTREE_TAG 'eerT'
#define FIELD(Name) .##Name

/* Declared before it is defined, and used by value. */
enum _OLDTREE_STATE;
typedef enum _OLDTREE_STATE OLDTREE_STATE;
ULONG OldTreeCount(OLDTREE_STATE State);
enum _OLDTREE_STATE { OldTreeIdle = 1, OldTreeBusy };

#ifdef __cplusplus
extern "C" {
#endif
ULONG OldTreeWork(_In_ ULONG Value);
#ifdef __cplusplus
}
#endif

DRIVER_INITIALIZE DriverEntry;
_Dispatch_type_(IRP_MJ_CREATE) _Dispatch_type_(IRP_MJ_CLOSE) __drv_dispatchType(IRP_MJ_CREATE) DRIVER_DISPATCH OldTreeOpenClose;
_Dispatch_type_(IRP_MJ_DEVICE_CONTROL) DRIVER_DISPATCH OldTreeControl;
DRIVER_UNLOAD OldTreeUnload;
