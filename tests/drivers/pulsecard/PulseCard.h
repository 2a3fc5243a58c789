/*++
Module Name:
    PulseCard.h
Abstract:
    Private declarations of the sample driver for the pulse card: one read at a time, completed by the card's interrupt.
Environment:
    Kernel mode
--*/
#pragma once

#define PULSECARD_POOL_TAG 'CslP'
#define WPP_CONTROL_GUIDS                                                                 \
  WPP_DEFINE_CONTROL_GUID(PulseCardTraceGuid, (6f2a9d11, 3c58, 4a0e, 9c1d, 5b7de7f10a42), \
                          WPP_DEFINE_BIT(DBG_INIT) WPP_DEFINE_BIT(DBG_PNP) WPP_DEFINE_BIT(DBG_IO))

// begin_wpp config
// FUNC PulseTrace{FLAG=DBG_INIT}(LEVEL, MSG, ...);
// end_wpp

#define REG_STATUS 0
#define REG_ENABLE 1
#define REG_TRIGGER 2
#define REG_COUNT 3

typedef enum _DEVICE_PNP_STATE { NotStarted = 0, Started, StopPending, Stopped, Removed } DEVICE_PNP_STATE;

typedef struct _DEVICE_EXTENSION {
  PDEVICE_OBJECT Self;
  PDEVICE_OBJECT PhysicalDeviceObject;
  PDEVICE_OBJECT NextLowerDriver;
  UNICODE_STRING InterfaceName;
  DEVICE_PNP_STATE PnpState;
  IO_REMOVE_LOCK RemoveLock;
  PULONG Registers;
  ULONG RegistersLength;
  PKINTERRUPT Interrupt;
  KSPIN_LOCK InterruptLock;
  ULONG InterruptStatus;
  ULONG Retries;
  DEVICE_POWER_STATE DevicePowerState;
} DEVICE_EXTENSION, *PDEVICE_EXTENSION;

DRIVER_INITIALIZE DriverEntry;
DRIVER_ADD_DEVICE PulseAddDevice;
DRIVER_UNLOAD PulseUnload;
_Dispatch_type_(IRP_MJ_CREATE) _Dispatch_type_(IRP_MJ_CLOSE) DRIVER_DISPATCH PulseCreateClose;
_Dispatch_type_(IRP_MJ_CLEANUP) DRIVER_DISPATCH PulseCleanup;
_Dispatch_type_(IRP_MJ_READ) DRIVER_DISPATCH PulseRead;
_Dispatch_type_(IRP_MJ_PNP) DRIVER_DISPATCH PulsePnp;
_Dispatch_type_(IRP_MJ_POWER) DRIVER_DISPATCH PulsePower;
_Dispatch_type_(IRP_MJ_SYSTEM_CONTROL) DRIVER_DISPATCH PulseSystemControl;
DRIVER_STARTIO PulseStartIo;
DRIVER_CANCEL PulseCancel;
KSERVICE_ROUTINE PulseIsr;
IO_DPC_ROUTINE PulseDpcForIsr;
KSYNCHRONIZE_ROUTINE PulseTakeStatus;
