// How long a processor may stay away from its threads. Two counts of clock ticks, each with a limit (SEMANTICS 9.2):
//   one DPC or ISR        Processor::dpc_time_count, reset when a DPC or an outermost ISR begins          0x133 (0, count, limit, 0)
//   everything together   Processor::dispatch_ticks, reset when the level falls below Dispatch             0x133 (1, limit, 0, 0)
#pragma once

namespace kdpc {
struct Processor;
}

namespace kdpc::watchdog {

void tick_here(Processor& self);   // at Clock
void isr_begins(Processor& self);  // at the device's level

}  // namespace kdpc::watchdog
