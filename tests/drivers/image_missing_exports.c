// Calls what no kernel exports: all of it has to be said at once.
long NtKdpcFirstMissing(void);
long NtKdpcSecondMissing(void);

long DriverEntry(void* driver, void* registry_path) {
  (void)driver, (void)registry_path;
  return NtKdpcSecondMissing() + NtKdpcFirstMissing();
}
