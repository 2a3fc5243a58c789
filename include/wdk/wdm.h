/* Everything a WDM driver needs: include this (or ntddk.h) and nothing else.
 *
 * NT's own names and parameter names, written from the public documentation. Each routine carries its IRQL range; structures have the layout of
 * 64-bit Windows 10. See ntdef.h for the data model and the calling convention.
 *
 * For C++ on the host: include after the standard library's headers. Routines that the kernel will call must be declared NTAPI there. */
#ifndef _WDK_WDM_H
#define _WDK_WDM_H

#include "bugcodes.h"
#include "devioctl.h"
#include "ntdef.h"
#include "ntstatus.h"

#if defined(_WIN32)
#include "crt/string.h"
#include "intrin.h"
#endif
#include "nt/interlocked.h"
#include "nt/rtl.h"
#include "nt/ke.h"
#include "nt/debug.h"
#include "nt/ex.h"
#include "nt/ex_locks.h"
#include "nt/slist.h"
#include "nt/mm.h"
#include "nt/ps.h"
#include "nt/hal.h"
#include "nt/io.h"
#include "nt/po.h"
#include "nt/registry.h"
#include "nt/pci.h"
#include "nt/csq.h"
#include "nt/lookaside.h"

#endif
