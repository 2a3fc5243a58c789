#include <dontuse.h>
#include <ntddk.h>
#include <ntddser.h>
#include <ntstrsafe.h>
#include <wdmguid.h>
#include "pulsecard.h"
#include "pulselog.h"
