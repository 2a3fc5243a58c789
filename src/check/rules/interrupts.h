// Interrupts that nobody serves, and ISRs that serve one and deny it.
//
// The return value of an ISR says whose the interrupt was, and nothing else (INT-16). What it means to deny a served one depends on the vector:
//   alone on it            nobody listens: harmless, until another device comes to share it
//   level, shared          the ISRs behind it are called for nothing
//   latched, shared        the passes may end early, and the edge of another device is lost (INT-15)
//   not served either      the line stays asserted: the kernel's own finding, a storm (INT-18)
#pragma once
#include <map>

#include "check/rules/scene.h"

namespace kdpc::rules {

class Interrupts {
 public:
  void on(Scene& scene, const InterruptConnected& fact);
  void on(Scene& scene, const LineChanged& fact);
  void on(Scene& scene, const RegisterAccessed& fact);
  void on(Scene& scene, const DpcQueued& fact);
  void on(Scene& scene, const DpcRefused& fact);
  void on(Scene& scene, const ActivityBegan& fact);
  void on(Scene& scene, const ActivityEnded& fact);
  void on(Scene& scene, const ClockTicked& fact);

 private:
  struct Line {
    std::uint64_t since = 0;   // asserted; 0: is not
    std::uint64_t served = 0;  // an ISR of its vector was called last
    std::uint8_t vector = 0;
    bool level = true;
  };
  struct Vector {
    std::map<std::uintptr_t, bool> objects;  // connected; is it latched?
    Party party;                             // connected, or disconnected last
  };
  std::map<std::uint16_t, Line> lines_;
  std::map<std::uint8_t, Vector> vectors_;
  std::map<std::uintptr_t, std::uint8_t> vector_of_;  // by interrupt object
};

}  // namespace kdpc::rules
