// Compiles and links like a driver and is none: nobody could start it.
long driver_entry(void) { return 0; }
