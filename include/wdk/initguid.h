/* Include before other headers in exactly one file: GUIDs declared with DEFINE_GUID are then defined there. */
#ifndef INITGUID
#define INITGUID
#endif
#include "guiddef.h"
