// A driver as small as one can be: initialised and zeroed data, a large frame, a loop with edges, and one export of the kernel's.
void KdpcEdge(void);

static unsigned long counter = 41;
static volatile char zeroed[64];

__declspec(noinline) static unsigned long touch_a_large_frame(const unsigned char* seed) {
  volatile unsigned char frame[20000];
  for (int i = 0; i < (int)sizeof(frame); i += 512) frame[i] = (unsigned char)(seed[i % 7] + i);
  return frame[0];
}

long DriverEntry(void* driver, void* registry_path) {
  unsigned char seed[7] = {1, 2, 3, 4, 5, 6, 7};
  (void)registry_path;
  zeroed[0]++;
  if (!driver) KdpcEdge();
  return (long)(++counter + touch_a_large_frame(seed) * 0);
}
