/* What a generated trace header (x.tmh) is here: traces are compiled out. The flags a driver declares with WPP_CONTROL_GUIDS exist, because its code
 * and its tests of levels name them. */
#ifndef _WDK_WPP_STUB_H
#define _WDK_WPP_STUB_H

#ifdef WPP_CONTROL_GUIDS
#define WPP_DEFINE_CONTROL_GUID(Name, Guid, Bits) WPP_CTL_##Name, Bits
#define WPP_DEFINE_BIT(Name) Name,
enum wdk_wpp_flags { WPP_CONTROL_GUIDS WDK_WPP_LAST };
#endif

#define WPP_INIT_TRACING(...) ((void)0)
#define WPP_CLEANUP(...) ((void)0)
#define WPP_SYSTEMCONTROL(...) ((void)0)
#define WPP_SYSTEMCONTROL2(...) ((void)0)
#define WPP_INIT_STATIC_DATA ((void)0)
#define WPP_LEVEL_ENABLED(...) 0
#define WPP_FLAG_ENABLED(...) 0
#define DoTraceMessage(...) ((void)0)
#define DoTraceMessageEx(...) ((void)0)
#ifndef TraceEvents
#define TraceEvents(...) ((void)0)
#endif

#include "evntrace.h"

#endif
