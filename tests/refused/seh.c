// The compiler for drivers takes this and loses the handler; kdpc_add_driver must not. Both spellings WDK drivers use.
#ifdef LOWER_CASE
int guarded(int* p) {
  try {
    return *p;
  } except (1) {
    return 0;
  }
}
#else
int guarded(int* p) {
  __try {
    return *p;
  } __except (1) {
    return 0;
  }
}
#endif
