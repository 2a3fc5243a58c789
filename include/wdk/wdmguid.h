/* GUIDs of interfaces between drivers. Include initguid.h first in the one file that shall define them. */
#include "ntdef.h"

DEFINE_GUID(GUID_BUS_INTERFACE_STANDARD, 0x496B8280, 0x6F25, 0x11D0, 0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F);
