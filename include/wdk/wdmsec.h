/* Devices with a security descriptor of their own. Nobody is kept out by it here, but the texts must be given as on Windows. */
#ifndef _WDK_WDMSEC_H
#define _WDK_WDMSEC_H

#include "wdm.h"

#define WDK_SDDL(Name, Text)                                                      \
  static const WCHAR Name##_text[] __attribute__((unused)) = Text;                \
  static const UNICODE_STRING Name __attribute__((unused)) = {sizeof(Text) - sizeof(WCHAR), sizeof(Text), (PWCH)(ULONG_PTR)Name##_text}

#if defined(_WIN32) /* drivers: the texts are wide literals */
WDK_SDDL(SDDL_DEVOBJ_KERNEL_ONLY, L"D:P");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL, L"D:P(A;;GA;;;SY)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_ALL, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RX, L"D:P(A;;GA;;;SY)(A;;GRGX;;;BA)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGW;;;WD)(A;;GR;;;RC)");
WDK_SDDL(SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RWX_RES_RWX, L"D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GRGWGX;;;WD)(A;;GRGWGX;;;RC)");
#endif

#endif
