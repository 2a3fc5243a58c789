// Due times and intervals as drivers write them: units of 100 ns, negative is from now.
#pragma once
#include <wdm.h>

namespace kdpc::test {

inline LARGE_INTEGER hundreds_of_ns(LONGLONG count) {
  LARGE_INTEGER time;
  time.QuadPart = count;
  return time;
}
inline LARGE_INTEGER in_ms(LONGLONG milliseconds) { return hundreds_of_ns(-milliseconds * 10'000); }

inline ULONGLONG performance_count() { return static_cast<ULONGLONG>(KeQueryPerformanceCounter(nullptr).QuadPart); }
inline ULONGLONG system_time() {
  LARGE_INTEGER now;
  KeQuerySystemTime(&now);
  return static_cast<ULONGLONG>(now.QuadPart);
}
inline ULONGLONG tick_count() {
  LARGE_INTEGER count;
  KeQueryTickCount(&count);
  return static_cast<ULONGLONG>(count.QuadPart);
}

inline constexpr ULONGLONG kTick = 156'250;  // 100 ns
inline constexpr unsigned long long kTickNanoseconds = 15'625'000;

}  // namespace kdpc::test
