/* The NT driver kit's header: here the same as wdm.h. */
#ifndef _WDK_NTDDK_H
#define _WDK_NTDDK_H

#include "wdm.h"

#endif
