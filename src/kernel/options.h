// Where the sources of NT's behaviour disagree, the recommended reading is the default and the others are options (SEMANTICS 14.1).
#pragma once
#include <cstdint>

namespace kdpc {

struct Options {
  // strict: every misuse stops with the Verifier's parameters. checked: as a checked build (0x9, 0xA). free: as a free build, unchecked.
  enum class IrqlChecks : std::uint8_t { Strict, Checked, Free } irql_checks = IrqlChecks::Strict;
  enum class DepthCompare : std::uint8_t { GreaterOrEqual, Greater } depth_compare = DepthCompare::GreaterOrEqual;      // TAB-2
  enum class RemoteIpi : std::uint8_t { Microsoft, IdleOnly, ReactOs } remote_ipi = RemoteIpi::Microsoft;               // TAB-1
  enum class MediumHighRemote : std::uint8_t { Immediate, AsMedium } medium_high_remote = MediumHighRemote::Immediate;  // TAB-3
  enum class IdleLowMedium : std::uint8_t { Wake, Wait } idle_low_medium = IdleLowMedium::Wake;                         // TAB-1
  enum class ThreadedDpc : std::uint8_t { Enabled, Disabled } threaded_dpc = ThreadedDpc::Enabled;                      // THR-1
  enum class RemoveSemantics : std::uint8_t { Exact, PreVistaSp1 } remove_semantics = RemoveSemantics::Exact;           // REM-1
  // What a watchdog does. windows_7: with a debugger attached, it prints and goes on with twice the time (WDG-2). vista: 0x102 (WDG-5).
  enum class WatchdogAction : std::uint8_t { Violation, Vista, Windows7 } watchdog_action = WatchdogAction::Violation;
  enum class TimerDpc : std::uint8_t { Direct, Queued } timer_dpc = TimerDpc::Direct;                                // TIM-15
  enum class UntargetedTimer : std::uint8_t { Current, ProcessorZero } untargeted_timer = UntargetedTimer::Current;  // TIM-13
  enum class TimerTables : std::uint8_t { PerProcessor, Global } timer_table = TimerTables::PerProcessor;            // TIM-12
  enum class Quantum : std::uint8_t { Classic, Cycles } quantum = Quantum::Classic;                                  // 6.4, 6.5
  enum class IdleTicks : std::uint8_t { All, TimekeeperOnly } idle_ticks = IdleTicks::All;                           // ADP-1
  enum class Delay : std::uint8_t { Exact, FromTick } delay = Delay::Exact;                                          // TIM-6
  enum class LatchedChain : std::uint8_t { FullPass, LastClaims } latched_chain = LatchedChain::FullPass;            // INT-15
  enum class WaitCheck : std::uint8_t { Entry, Late } wait_check = WaitCheck::Entry;                                 // WAIT-3

  // on: pageable memory is taken away at DISPATCH_LEVEL and above, as by Driver Verifier (SEMANTICS 12.1); off: it is always there.
  enum class PageTrim : std::uint8_t { On, Off } page_trim = PageTrim::On;  // IRQL-2

  // nt52: IoConnectInterruptEx as drivers link it before Vista, where it knows the fully specified version only.
  enum class ConnectInterruptEx : std::uint8_t { Vista, Nt52 } connect_interrupt_ex = ConnectInterruptEx::Vista;  // INT-12
  enum class MessageLock : std::uint8_t { PerMessage, Shared } message_lock = MessageLock::PerMessage;            // INT-9

  // all: the developer is always listening. windows: as since Vista, what no bit of the mask lets through is not shown (DBG-1).
  enum class DebugFilter : std::uint8_t { All, Windows } debug_filter = DebugFilter::All;
  std::uint32_t debug_mask = 1;  // Kd_WIN2000_Mask, by default errors only; DbgPrint is at level 3, bit 8

  // Session Manager\Kernel tunables; the numbers are NT's as far as they are known (SEMANTICS 3.3).
  std::int32_t dpc_queue_depth = 4;
  std::uint32_t minimum_dpc_rate = 3;
  std::uint32_t adjust_dpc_threshold = 20;
  std::uint32_t ideal_dpc_rate = 20;

  std::uint32_t dpc_time_limit = 1280;       // ticks one DPC or ISR may run, 20 s; 0: no limit (SEMANTICS 9.2)
  std::uint32_t dpc_watchdog_period = 7680;  // ticks away from threads in a row, 120 s; 0: no limit
  std::uint32_t clock_watchdog_ticks = 64;   // a processor may miss so many clock interrupts, 1 s, before the others stop (9.6); 0: for ever
  std::uint32_t ipi_time_limit_ms = 1000;    // for all processors to take a KeIpiGenericCall (IPI-2); 0: for ever
  std::uint32_t yield_budget_us = 100;       // after which KeShouldYieldProcessor advises a DPC to end (SEMANTICS 9.5)
  std::uint32_t storm_dispatches = 30000;    // of one vector whose line stays asserted …
  std::uint32_t storm_ticks = 55;            // … within so many ticks: a storm (INT-18); 0 dispatches: never
  std::int8_t quantum_reset = 6;             // units; a tick takes 3: two ticks, NT's client default
};

// NT's numbers, in units of 100 ns.
inline constexpr std::uint32_t kClockIncrement = 156250;        // 15.625 ms, the full tick (SEMANTICS 0.4)
inline constexpr std::uint32_t kShortestClockInterval = 10000;  // 1 ms, as fast as the clock can (TIM-18)
inline constexpr std::uint64_t kNanosecondsPer100 = 100;
inline constexpr std::uint64_t kClockIncrementNanoseconds = kClockIncrement * kNanosecondsPer100;

}  // namespace kdpc
