#include <ntdef.h>

LONG DriverEntry(PVOID driver, PVOID registry_path) {
  (void)driver, (void)registry_path;
  return 0;
}
