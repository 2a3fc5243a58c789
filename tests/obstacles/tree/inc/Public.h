/* What applications include, too: \\ and a path back to the folder above. */
#pragma once
#include "..\inc\shared\TYPES.H"

#define IOCTL_OLDTREE_ASK CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900, METHOD_BUFFERED, FILE_ANY_ACCESS)
